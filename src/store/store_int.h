/* store/store_int.h — shared by the files of store/ only */
#pragma once
#include <sqlite3.h>
#include <sys/types.h>
#include "base/map.h"
#include "store/store.h"

#define STORE_STATEMENTS(X) \
	X(PUT_WORKLOAD, "INSERT INTO workloads(uid,doc) VALUES(?1,?2) ON CONFLICT(uid) DO UPDATE SET doc=?2") \
	X(DEL_WORKLOAD, "DELETE FROM workloads WHERE uid=?1") \
	X(GET_WORKLOAD, "SELECT doc FROM workloads WHERE uid=?1") \
	X(ALL_WORKLOADS, "SELECT doc FROM workloads") \
	X(PUT_NODE, "INSERT INTO nodes(uid,doc) VALUES(?1,?2) ON CONFLICT(uid) DO UPDATE SET doc=?2") \
	X(DEL_NODE, "DELETE FROM nodes WHERE uid=?1") \
	X(GET_NODE, "SELECT doc FROM nodes WHERE uid=?1") \
	X(ALL_NODES, "SELECT doc FROM nodes") \
	X(PUT_CONSTRAINTS, "INSERT INTO constraints(key) VALUES(?1) ON CONFLICT(key) DO NOTHING") \
	X(GET_CONSTRAINTS, "SELECT id FROM constraints WHERE key=?1") \
	X(PUT_POD, "INSERT OR REPLACE INTO pods(uid,ns,name,node,owner,original,version,phase,flags,priority,cpu,mem," \
		   "ready_since,constraints,copy_of) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)") \
	X(DEL_POD, "DELETE FROM pods WHERE uid=?1") \
	X(ALL_PODS, "SELECT p.uid,p.ns,p.name,p.node,p.owner,p.original,p.version,p.phase,p.flags,p.priority,p.cpu,p.mem," \
		    "p.ready_since,c.key,p.copy_of FROM pods p LEFT JOIN constraints c ON c.id=p.constraints") \
	X(PUT_SPEC, "INSERT INTO specs(hash,owner,made,doc) VALUES(?1,?2,?3,?4) ON CONFLICT(owner,hash) DO UPDATE SET made=?3") \
	X(GET_SPEC_ID, "SELECT id FROM specs WHERE owner=?1 AND hash=?2") \
	X(DEL_SPEC, "DELETE FROM specs WHERE id=?1") \
	X(GET_SPEC, "SELECT doc FROM specs WHERE id=?1") \
	X(ALL_SPECS, "SELECT id,hash,owner,made,doc FROM specs ORDER BY made,id") \
	X(PUT_POD_SPEC, "INSERT OR REPLACE INTO pod_specs(pod,spec) VALUES(?1,?2)") \
	X(DEL_POD_SPEC, "DELETE FROM pod_specs WHERE pod=?1") \
	X(ALL_POD_SPECS, "SELECT pod,spec FROM pod_specs") \
	X(SWEEP_POD_SPECS, "DELETE FROM pod_specs WHERE pod NOT IN (SELECT uid FROM pods)") \
	X(SWEEP_SPECS, "DELETE FROM specs WHERE owner NOT IN (SELECT uid FROM workloads)") \
	X(POD_UIDS, "SELECT uid FROM pods") \
	X(WORKLOAD_UIDS, "SELECT uid FROM workloads") \
	X(NODE_UIDS, "SELECT uid FROM nodes") \
	X(PUT_CLAIM, "INSERT OR REPLACE INTO claims(pod,node,epoch,rank,mirror,state,at) VALUES(?1,?2,?3,?4,?5,?6,?7)") \
	X(DEL_CLAIM, "DELETE FROM claims WHERE pod=?1") \
	X(CLEAR_CLAIMS, "DELETE FROM claims") \
	X(END_CLAIMS, "DELETE FROM claims WHERE pod=?1 AND (epoch<?2 OR (epoch=?2 AND state<>?4 AND ?3<>?4))") \
	X(ALL_CLAIMS, "SELECT pod,node,epoch,rank,mirror,state,at FROM claims ORDER BY state=?1") \
	X(PUT_COPY, "INSERT OR REPLACE INTO copies(pod,static,ns,name,workload_uid,workload,lost_node,file,epoch,rank,state," \
		    "declared,claimed,written,running) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)") \
	X(DEL_COPY, "DELETE FROM copies WHERE pod=?1") \
	X(CLEAR_COPIES, "DELETE FROM copies") \
	X(ALL_COPIES, "SELECT pod,static,ns,name,workload_uid,workload,lost_node,file,epoch,rank,state,declared,claimed," \
		      "written,running FROM copies") \
	X(OPEN_INTENT, "INSERT INTO intents(kind,pod,epoch,target,at) VALUES(?1,?2,?3,?4,?5)") \
	X(CLOSE_INTENT, "DELETE FROM intents WHERE id=?1") \
	X(CLEAR_INTENTS, "DELETE FROM intents") \
	X(ALL_INTENTS, "SELECT id,kind,pod,epoch,target FROM intents ORDER BY id") \
	X(PUT_PEER, "INSERT OR REPLACE INTO peers(name,addr,port,seen,site) VALUES(?1,?2,?3,?4,?5)") \
	X(DEL_PEER, "DELETE FROM peers WHERE name=?1") \
	X(ALL_PEERS, "SELECT name,addr,port,site FROM peers ORDER BY name") \
	X(PUT_META, "INSERT OR REPLACE INTO meta(key,value) VALUES(?1,?2)") \
	X(DEL_META, "DELETE FROM meta WHERE key=?1") \
	X(GET_META, "SELECT value FROM meta WHERE key=?1") \
	X(PUT_OBJECT, "INSERT OR REPLACE INTO objects(kind,ns,name,version,gone,key,doc) VALUES(?1,?2,?3,?4,?5,?6,?7)") \
	X(DEL_OBJECT, "DELETE FROM objects WHERE kind=?1 AND ns=?2 AND name=?3") \
	X(GET_OBJECT, "SELECT kind,ns,name,version,gone,key,doc FROM objects WHERE kind=?1 AND ns=?2 AND name=?3") \
	X(ALL_OBJECTS, "SELECT kind,ns,name,version,gone,key,doc FROM objects") \
	X(PUT_READINESS, "INSERT OR REPLACE INTO readiness(uid,ready,reason) VALUES(?1,?2,?3)") \
	X(DEL_READINESS, "DELETE FROM readiness WHERE uid=?1") \
	X(ALL_READINESS, "SELECT uid,ready,reason FROM readiness") \
	X(ADD_EVENT, "INSERT INTO events(key,at,ns,pod,workload,uid,node,reason,message,warning) " \
		     "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)") \
	X(DEL_EVENT, "DELETE FROM events WHERE key=?1") \
	X(CLEAR_EVENTS, "DELETE FROM events") \
	X(ALL_EVENTS, "SELECT key,at,ns,pod,workload,uid,node,reason,message,warning FROM events ORDER BY id LIMIT ?1") \
	X(ADD_HISTORY, "INSERT INTO history(at,event,ns,pod,node,detail) VALUES(?1,?2,?3,?4,?5,?6)") \
	X(ALL_HISTORY, "SELECT id,at,event,ns,pod,node,detail FROM history " \
		       "WHERE (?1 IS NULL OR pod=?1 OR node=?1) AND (?3=0 OR id<?3) ORDER BY id DESC LIMIT ?2") \
	X(TRIM_HISTORY, "DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?1")

enum store_stmt {
#define X(id, sql) STMT_##id,
	STORE_STATEMENTS(X)
#undef X
	STMT_COUNT
};

struct file_id { dev_t dev; ino_t ino; };	/* ino 0 = there is none */

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmts[STMT_COUNT];	/* prepared at first use */
	char *path;
	struct file_id file, log;		/* as they were opened */
	struct seal *seal;
	char *fault;
	bool in_transaction, durable;
	int version;				/* of the schema of the file that is open */
	struct map *constraint_ids;		/* key → struct constraint_id */
};

/* store.c, for rescue.c */
int store_open_db(struct store *s);
void store_close_db(struct store *s);
int store_set_aside(struct store *s, char *out_name);
int store_result(struct store *s, int rc, bool write);	/* remembers a failure until a write works again */
void store_note_files(struct store *s);

/* Run a statement to its end. `types`: t = text or NULL, i = int64_t, b = bytes (const void *, size_t; NULL = NULL), one per
 * parameter. */
int store_exec(struct store *s, enum store_stmt id, const char *types, ...);
/* Run a query; fn sees each row and must only read columns. */
typedef void (*row_fn)(void *arg, sqlite3_stmt *row);
int store_query(struct store *s, enum store_stmt id, row_fn fn, void *arg, const char *types, ...);
const char *row_text(sqlite3_stmt *row, int column);	/* NULL for NULL */
void constraint_ids_clear(struct store *s);
