/* agent_rig.c — real serf agents as children of a test program */
#include "agent_rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../patience.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"

enum { RIG_ARGS_MAX = 48, RIG_GOSSIP_PORT = 7946, RIG_RPC_PORT = 17373, RIG_START_MS = 10000, RIG_STEP_MS = 10 };

struct rig_agent {
	char *argv[RIG_ARGS_MAX];
	size_t argc;
	char *rpc, *gossip;
	char *config;		/* path, removed with the agent */
	struct sockaddr_in rpc_addr;
	int log_fd;
	pid_t pid;		/* 0 = not running */
};

void rig_address(char *out, size_t size)
{
	unsigned pid = (unsigned)getpid();

	(void)snprintf(out, size, "127.%u.%u.%u", 64 + (pid >> 16) % 64, pid >> 8 & 255, pid & 255);
}

bool rig_has_serf(void)
{
	return access("/usr/bin/serf", X_OK) == 0 || access("/usr/local/bin/serf", X_OK) == 0;
}

static void rig_sleep(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void arg_add(struct rig_agent *a, const char *flag, const char *value)
{
	assert(a->argc + 1 < RIG_ARGS_MAX);
	a->argv[a->argc++] = str_format("%s%s", flag, value);
}

static void config_write(struct rig_agent *a, const struct rig_agent_conf *conf)
{
	char path[] = "/tmp/serf-rig-XXXXXX.json";
	int fd = mkstemps(path, 5);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	assert(f);
	fprintf(f, "{\"rpc_auth\": \"%s\", \"leave_on_terminate\": %s, \"skip_leave_on_interrupt\": true}\n",
		str_or(conf->auth_key, ""), conf->leave_on_terminate ? "true" : "false");
	(void)fclose(f);
	a->config = str_dup(path);
}

static void agent_child(struct rig_agent *a, pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)dup2(a->log_fd, STDOUT_FILENO);
	(void)dup2(a->log_fd, STDERR_FILENO);
	(void)execvp("serf", a->argv);
	_exit(127);
}

static bool agent_answers(const struct rig_agent *a)
{
	cleanup(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)&a->rpc_addr, sizeof(a->rpc_addr)) == 0;
}

void rig_agent_restart(struct rig_agent *a)
{
	pid_t parent = getpid();

	assert(a->pid == 0);
	a->pid = fork();
	assert(a->pid >= 0);
	if (a->pid == 0)
		agent_child(a, parent);
	for (int i = 0; i < patient_ms(RIG_START_MS) / RIG_STEP_MS; i++) {
		if (agent_answers(a))
			return;
		if (waitpid(a->pid, NULL, WNOHANG) == a->pid)
			break;
		rig_sleep(RIG_STEP_MS);
	}
	rig_agent_dump(a);
	fprintf(stderr, "agent_rig: the serf agent at %s did not start\n", a->rpc);
	abort();
}

struct rig_agent *rig_agent_start(const struct rig_agent_conf *conf)
{
	static unsigned count;
	struct rig_agent *a = mem_new(struct rig_agent);
	unsigned n = count++;
	char ip[INET_ADDRSTRLEN];

	rig_address(ip, sizeof(ip));
	a->rpc = str_format("%s:%u", ip, RIG_RPC_PORT + n);
	a->gossip = str_format("%s:%u", ip, RIG_GOSSIP_PORT + n);
	a->rpc_addr.sin_family = AF_INET;
	a->rpc_addr.sin_port = htons((uint16_t)(RIG_RPC_PORT + n));
	(void)inet_pton(AF_INET, ip, &a->rpc_addr.sin_addr);
	a->log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	config_write(a, conf);
	arg_add(a, "serf", "");
	arg_add(a, "agent", "");
	arg_add(a, "-node=", conf->name);
	arg_add(a, "-bind=", a->gossip);
	arg_add(a, "-rpc-addr=", a->rpc);
	arg_add(a, "-profile=", str_or(conf->profile, "local"));
	arg_add(a, "-log-level=", "debug");
	arg_add(a, "-config-file=", a->config);
	if (conf->encrypt)
		arg_add(a, "-encrypt=", conf->encrypt);
	for (const char *const *t = conf->tags; t && *t; t++)
		arg_add(a, "-tag=", *t);
	rig_agent_restart(a);
	return a;
}

void rig_agent_kill(struct rig_agent *a, int signo)
{
	if (!a->pid)
		return;
	(void)kill(a->pid, signo);
	while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
		;
	a->pid = 0;
}

void rig_agent_free(struct rig_agent *a)
{
	if (!a)
		return;
	rig_agent_kill(a, SIGKILL);
	(void)unlink(a->config);
	(void)close(a->log_fd);
	for (size_t i = 0; i < a->argc; i++)
		free(a->argv[i]);
	free(a->config);
	free(a->rpc);
	free(a->gossip);
	free(a);
}

const char *rig_agent_rpc(const struct rig_agent *a)
{
	return a->rpc;
}

const char *rig_agent_gossip(const struct rig_agent *a)
{
	return a->gossip;
}

void rig_agent_dump(const struct rig_agent *a)
{
	char line[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(a->log_fd, line, sizeof(line), at)) > 0) {
		fwrite(line, 1, (size_t)n, stderr);
		at += n;
	}
}

struct until {
	bool (*is_true)(void *arg);
	void *arg;
	struct timer *timer;
	bool done;
};

static void on_until(void *arg)
{
	struct until *u = arg;

	u->done = u->is_true(u->arg);
	if (!u->done)
		timer_start_ms(u->timer, RIG_STEP_MS);
}

bool rig_until(struct loop *loop, bool (*is_true)(void *arg), void *arg, int64_t timeout_ms)
{
	struct until u = { .is_true = is_true, .arg = arg };
	bool done;

	u.timer = timer_new(loop, "rig-until", on_until, &u);
	timer_start_ms(u.timer, 0);
	done = loop_run_until(loop, &u.done, timeout_ms);
	timer_free(u.timer);
	return done;
}
