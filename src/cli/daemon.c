/* daemon.c — edge-healer agent, edge-healer check-config */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cli/cli.h"
#include "model/constraint.h"

extern char **environ;

static void on_stop(void *arg, int signo)
{
	log_info(LOG_AGENT, "stopping", "signal=%d", signo);
	loop_stop(arg);
}

static void on_reload(void *arg, int signo)
{
	(void)signo;
	agent_reload(*(struct agent **)arg);
}

static int run(const char *path, struct conf *conf)
{
	struct loop *loop = loop_new();
	struct agent_params params = { .loop = loop, .config_path = path, .version = cli_version() };
	struct agent *agent = NULL;
	int r = agent_new(&params, conf, &agent);

	if (r < 0) {
		conf_free(conf);
		loop_free(loop);
		return r;
	}
	(void)loop_on_signal(loop, SIGTERM, on_stop, loop);
	(void)loop_on_signal(loop, SIGINT, on_stop, loop);
	(void)loop_on_signal(loop, SIGHUP, on_reload, &agent);
	r = loop_run(loop);
	agent_free(agent);
	loop_free(loop);
	metric_fini();
	constraints_fini();
	intern_fini();
	return r;
}

static int parse_path(int argc, char **argv, const char **out_path)
{
	*out_path = getenv("EDGE_HEALER_CONFIG");
	for (int i = 1; i < argc; i++) {
		if ((str_eq(argv[i], "--config") || str_eq(argv[i], "-c")) && i + 1 < argc) {
			*out_path = argv[++i];
		} else if (str_has_prefix(argv[i], "--config=")) {
			*out_path = argv[i] + strlen("--config=");
		} else {
			fprintf(stderr, "edge-healer agent: unknown argument \"%s\". See edge-healer agent --help.\n", argv[i]);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

int cli_agent(int argc, char **argv)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	struct conf *conf = NULL;
	const char *path;
	int r = parse_path(argc, argv, &path);

	if (r)
		return r;
	(void)umask(077);		/* the store and its companions are ours alone */
	if (fault_arm(getenv(FAULT_ENV)) < 0) {
		(void)fprintf(stderr, "edge-healer: %s: no such fault point\n", FAULT_ENV);
		return CLI_USAGE;
	}
	r = conf_load(path, (const char *const *)environ, &conf, &errors, &warnings);
	if (warnings.len)
		fputs(warnings.data, stderr);
	if (r < 0) {
		fputs(errors.data, stderr);
		return CLI_FAILED;
	}
	return run(path, conf) < 0 ? CLI_FAILED : CLI_OK;
}

int cli_check_config(int argc, char **argv)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT, text = BUF_INIT;
	cleanup(conf_freep) struct conf *conf = NULL;
	const char *path = getenv("EDGE_HEALER_CONFIG");
	bool print = false;

	for (int i = 1; i < argc; i++) {
		if (str_eq(argv[i], "--reference")) {
			conf_print_reference(&text);
			fputs(text.data, stdout);
			return CLI_OK;
		}
		if (str_eq(argv[i], "--print"))
			print = true;
		else
			path = argv[i];
	}
	if (conf_load(path, (const char *const *)environ, &conf, &errors, &warnings) < 0) {
		fputs(errors.data, stderr);
		return CLI_FAILED;
	}
	if (warnings.len)
		fputs(warnings.data, stderr);
	if (print) {
		conf_print(conf, &text);
		fputs(text.data, stdout);
	} else {
		printf("%s: ok\n", path ? path : "defaults and environment");
	}
	return CLI_OK;
}
