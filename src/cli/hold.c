/* hold.c — edge-healer hold: another container of the standby, serf for one
 *
 *   wait           no child; a look at the lock every SEAT_LOOK_MS
 *   the lock is held by a standby that works → the command is started, in a process group of its own
 *   it is held no longer → SIGTERM, after HOLD_STOP_MS SIGKILL; then wait again
 *
 * Signals are passed on; SIGTERM and SIGINT end us too, with the command's exit code, or at once while there is none. A command
 * that ends by itself ends us with its code: kubelet starts the container again and applies its backoff. Killed with -9 we take
 * the command with us (PR_SET_PDEATHSIG). As process 1 of a container we reap what the command leaves behind.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "node/seat.h"

#define HOLD_STOP_MS 10000		/* of the command, to stop by itself */
enum { NOT_FOUND = 127, BY_SIGNAL = 128 };	/* exit codes as a shell has them */

static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

struct hold {
	const char *lock;
	char **command;
	pid_t child;			/* 0 = none */
	struct mono kill_at;		/* set while it is being stopped */
	bool ending;			/* we end with it */
	sigset_t before;
};

static void start(struct hold *h)
{
	pid_t parent = getpid();

	h->child = fork();
	if (h->child < 0) {
		h->child = 0;		/* the next look tries again */
		return;
	}
	if (h->child > 0) {
		(void)setpgid(h->child, h->child);
		return;
	}
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(CLI_FAILED);
	(void)sigprocmask(SIG_SETMASK, &h->before, NULL);
	(void)execvp(h->command[0], h->command);
	(void)fprintf(stderr, "edge-healer hold: %s: %s\n", h->command[0], strerrordesc_np(errno));
	_exit(NOT_FOUND);
}

static void stop(struct hold *h)
{
	(void)kill(-h->child, SIGTERM);
	h->kill_at = mono_add_ms(mono_read(), HOLD_STOP_MS);
}

/* Reap. True with the exit code when we are to end with the command. */
static bool has_ended(struct hold *h, int *out_code)
{
	int status;

	for (;;) {
		pid_t pid = waitpid(-1, &status, WNOHANG);
		bool stopped = mono_is_set(h->kill_at);

		if (pid <= 0)
			return false;
		if (pid != h->child)
			continue;
		h->child = 0;
		h->kill_at = (struct mono){ 0 };
		*out_code = WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
		if (h->ending || !stopped)
			return true;
	}
}

static void look(struct hold *h)
{
	bool works = seat_standby_works(h->lock);

	if (!h->child && works)
		start(h);
	else if (h->child && !works && !mono_is_set(h->kill_at))
		stop(h);
	else if (h->child && mono_is_set(h->kill_at) && mono_reached(mono_read(), h->kill_at))
		(void)kill(-h->child, SIGKILL);
}

static int run(struct hold *h)
{
	const struct timespec pause = { .tv_nsec = SEAT_LOOK_MS * 1000000L };
	sigset_t set;
	int code = CLI_OK;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		(void)sigaddset(&set, passed_on[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &h->before);
	mem_trim();
	for (;;) {
		int signo;

		if (!h->ending || h->child)
			look(h);
		signo = sigtimedwait(&set, NULL, &pause);
		if (has_ended(h, &code))
			return code;
		if (signo <= 0 || signo == SIGCHLD)
			continue;
		h->ending = h->ending || signo == SIGTERM || signo == SIGINT;
		if (h->child)
			(void)kill(-h->child, signo);
		else if (h->ending)
			return CLI_OK;
		if (h->ending && !mono_is_set(h->kill_at))
			h->kill_at = mono_add_ms(mono_read(), HOLD_STOP_MS);
	}
}

int cli_hold(int argc, char **argv)
{
	struct hold h = { 0 };

	if (argc >= 5 && str_eq(argv[1], "--lock") && str_eq(argv[3], "--")) {
		h.lock = argv[2];
		h.command = argv + 4;
		return run(&h);
	}
	fprintf(stderr, "edge-healer hold: write: edge-healer hold --lock FILE -- COMMAND [ARGUMENT]...\n");
	return CLI_USAGE;
}
