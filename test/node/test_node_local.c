/* test_node_local.c — load, dialling, and who listens */
#include "../support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "node/dial.h"
#include "node/listener.h"
#include "node/machine.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void test_load(void **state)
{
	static const char *const bad[] = {
	    "", "cpu", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h", "cpu0 1 2 3 4 5 6 7 8"};
	struct cpu_load l = CPU_LOAD_INIT;

	(void)state;
	assert_int_equal(cpu_load_feed(&l, "cpu  100 0 100 800 0 0 0 0 0 0"), 0);
	assert_int_equal(cpu_load_milli(&l, 4000), 0); /* one reading says nothing */
	assert_int_equal(cpu_load_feed(&l, "cpu  150 0 150 900 0 0 0 0 0 0"), 0);
	assert_int_equal(cpu_load_milli(&l, 4000), 2000); /* 100 of 200 ticks */
	assert_int_equal(cpu_load_feed(&l, "cpu  150 0 150 900 0 0 0 0 0 0"), 0);
	assert_int_equal(cpu_load_milli(&l, 4000), 2000); /* no time passed */
	assert_int_equal(cpu_load_feed(&l, "cpu  150 0 150 1000 0 0 0 0 0 0"), 0);
	assert_in_range(cpu_load_milli(&l, 4000), 1399, 1401); /* idle, smoothed: 0.7 of it */
	assert_int_equal(cpu_load_feed(&l, "cpu  150 0 150 1000 1000 0 0 0 0 0"), 0);
	assert_in_range(cpu_load_milli(&l, 4000), 979, 981); /* waiting for a disk is idle */
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (cpu_load_feed(&l, bad[i]) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_in_range(cpu_load_milli(&l, 4000), 979, 981);
}

/* iowait may go backwards (proc(5)); the load stays between nothing and everything. */
static void test_load_backwards(void **state)
{
	struct cpu_load l = CPU_LOAD_INIT;

	(void)state;
	assert_int_equal(cpu_load_feed(&l, "cpu 100 0 0 100 500 0 0 0"), 0);
	assert_int_equal(cpu_load_feed(&l, "cpu 300 0 0 100 400 0 0 0"), 0);
	assert_in_range(cpu_load_milli(&l, 4000), 0, 4000);
	assert_int_equal(cpu_load_feed(&l, "cpu 200 0 0 100 600 0 0 0"), 0);
	assert_in_range(cpu_load_milli(&l, 4000), 0, 4000);
	assert_true(l.used >= 0); /* known stays known */
}

static void test_machine(void **state)
{
	struct resources r = machine_capacity();
	struct cpu_load l = CPU_LOAD_INIT;
	char id[BOOT_ID_SIZE], again[BOOT_ID_SIZE];

	(void)state;
	assert_true(r.cpu_milli >= 1000 && r.cpu_milli % 1000 == 0);
	assert_true(r.mem_bytes > INT64_C(16) << 20);
	assert_int_equal(machine_boot_id(BOOT_ID, id), 0);
	assert_int_equal(strlen(id), 36);
	assert_int_equal(machine_boot_id(BOOT_ID, again), 0);
	assert_string_equal(id, again);
	assert_int_equal(cpu_load_sample(&l), 0);
	assert_true(l.total > 0);
}

/* ---- dial ---- */

struct answer {
	bool done, reachable;
	int calls;
};

static void on_dial(void *arg, bool reachable)
{
	struct answer *a = arg;

	a->done = true;
	a->reachable = reachable;
	a->calls++;
}

/* One port or several, for as long as it takes. */
static struct op *dial_at(struct loop *loop, const char *addr, const uint16_t *ports, size_t n, struct answer *got)
{
	return dial_start(loop, &(struct dial_params){ addr, ports, n, n == 1 ? 30 : 5000, false }, on_dial, got);
}

/* A listening socket, or with backlog < 0 a port that is bound but closed. */
static int port_new(int backlog, uint16_t *out_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*out_port = ntohs(sa.sin_port);
	return fd;
}

static void test_dial(void **state)
{
	struct loop *loop = loop_new();
	uint16_t open = 0, closed = 0;
	int a = port_new(5, &open), b = port_new(-1, &closed);
	const struct {
		uint16_t ports[2];
		size_t n;
		bool reachable;
	} rows[] = {
	    {{open, 0}, 1, true},      {{closed, 0}, 1, false}, {{closed, open}, 2, true},
	    {{open, closed}, 2, true}, {{0, 0}, 2, false},      {{0, 0}, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer got = {0};
		bool never = false;

		assert_non_null(dial_at(loop, "127.0.0.1", rows[i].ports, rows[i].n, &got));
		assert_int_equal(got.calls, 0); /* never inside the starting call */
		assert_true(loop_run_until(loop, &got.done, patient_ms(5000)));
		assert_int_equal(got.reachable, rows[i].reachable);
		assert_false(loop_run_until(loop, &never, 5));
		assert_int_equal(got.calls, 1);
	}
	(void)close(a);
	(void)close(b);
	loop_free(loop);
}

/* A port whose queue is full drops further SYNs, as a dead host does. */
struct full_listener {
	int fds[8];
	uint16_t port;
};

static void full_listener_open(struct full_listener *l)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(sa);

	l->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l->fds[0], (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(l->fds[0], 0), 0);
	assert_int_equal(getsockname(l->fds[0], (struct sockaddr *)&sa, &n), 0);
	l->port = ntohs(sa.sin_port);
	for (size_t i = 1; i < ARRAY_LEN(l->fds); i++) {
		l->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(l->fds[i], (struct sockaddr *)&sa, sizeof(sa));
	}
}

static void full_listener_close(const struct full_listener *l)
{
	for (size_t i = 0; i < ARRAY_LEN(l->fds); i++)
		(void)close(l->fds[i]);
}

static void test_dial_timeout_and_cancel(void **state)
{
	struct loop *loop = loop_new();
	struct full_listener full;
	struct answer got = {0};
	struct op *op;
	bool never = false;
	uint16_t port;

	(void)state;
	assert_null(dial_at(loop, "no address", &port, 1, &got));
	assert_null(dial_at(loop, "", &port, 1, &got));
	full_listener_open(&full);
	port = full.port;
	assert_non_null(dial_at(loop, "127.0.0.1", &port, 1, &got));
	assert_true(loop_run_until(loop, &got.done, patient_ms(5000)));
	assert_false(got.reachable);
	got = (struct answer){0};
	op = dial_at(loop, "127.0.0.1", &port, 1, &got);
	op_cancelp(&op);
	assert_null(op);
	assert_false(loop_run_until(loop, &never, 30));
	assert_int_equal(got.calls, 0);
	full_listener_close(&full);
	loop_free(loop);
}

/* ---- listeners ---- */

static const char tcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000 100 0 0 10 0\n"
    "   1: 00000000:2809 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000 100 0 0 10 0\n"
    "   2: 0100007F:280A 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0000 100 0 0 10 0\n"
    "   3: 0100007F:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0000 100 0 0 10 0\n";
static const char tcp6[] =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr ...\n"
    "   0: 00000000000000000000000001000000:2808 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 21 1 0000 100 0 0 10 0\n"
    "   1: 00000000000000000000000000000000:280B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 22 1 0000 100 0 0 10 0\n"
    "   2: 0000000000000000FFFF00000200007F:280C 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 23 1 0000 100 0 0 10 0\n";

static void test_listener_tables(void **state)
{
	static const struct {
		const char *at;
		int r;
		uint64_t inode;
	} rows[] = {
	    {"127.0.0.1:10248", 0, 11},
	    {"127.0.0.2:10248", -ENOENT, 0},
	    {"[::1]:10248", 0, 21},
	    {"127.0.0.2:10249", 0, 12}, /* every address */
	    {"[::1]:10249", -ENOENT, 0},
	    {"127.0.0.1:10250", -ENOENT, 0}, /* connections only; listeners come first in the kernel's list */
	    {"127.0.0.1:10251", 0, 22},
	    {"[fd00::1]:10251", 0, 22},
	    {"127.0.0.2:10252", 0, 23},
	    {"127.0.0.1:10252", -ENOENT, 0},
	};
	char dir[TMP_SIZE];

	(void)state;
	tmp_new(dir);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint at;
		uint64_t inode = 0;

		tmp_write(tmp_path(dir, "tcp"), tcp);
		tmp_write(tmp_path(dir, "tcp6"), tcp6);
		assert_int_equal(endpoint_parse(rows[i].at, &at), 0);
		if (listener_inode(dir, &at, &inode) != rows[i].r || inode != rows[i].inode)
			fail_msg("%s: inode %llu", rows[i].at, (unsigned long long)inode);
	}
	tmp_free(dir);
}

/* The socket of a process that was started again is another one. */
static void test_listener(void **state)
{
	struct endpoint at;
	uint64_t inode = 0, again = 0;
	uint16_t port = 0;
	int fd = port_new(5, &port), one = 1, r;
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)state;
	assert_int_equal(endpoint_of("127.0.0.1", port, &at), 0);
	r = listener_inode("/proc/net", &at, &inode);
	if (r == -ENOENT) {
		print_message("no listeners to be seen in /proc/net here\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_true(inode > 0);
	assert_int_equal(listener_inode("/proc/net", &at, &again), 0);
	assert_true(again == inode);
	(void)close(fd);
	assert_int_equal(listener_inode("/proc/net", &at, &again), -ENOENT);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sa.sin_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(listener_inode("/proc/net", &at, &again), 0);
	assert_true(again != inode);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_listener_tables),
	    cmocka_unit_test(test_listener),
	    cmocka_unit_test(test_load),
	    cmocka_unit_test(test_load_backwards),
	    cmocka_unit_test(test_machine),
	    cmocka_unit_test(test_dial),
	    cmocka_unit_test(test_dial_timeout_and_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
