/* cli.h — the program as people call it.
 *
 * As PID 1 every argument belongs to CMD. Otherwise the first one is a verb of the table in
 * cli.c, from which help, usage errors and completions are made.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/time.h"
#include "cli/args.h"

/* Exit statuses of the verbs; `run` and PID 1 have CMD's and those of box.h, `exec` and `attach`
 * have the command's, and CLI_CHANNEL where it is not that. */
enum { CLI_OK = 0, CLI_NO = 1, CLI_USAGE = 2, CLI_CHANNEL = 125 };

/* Both return the exit status. */
/* `machine`: of a machine of its own (machine_begin()). */
int cli_pid1(int argc, char **argv, bool machine, instant started);
int cli_main(int argc, char **argv, instant started);

/* The verbs in the order of help; NULL past the end. */
const struct verb *cli_verb(size_t i);

/* start.c: run a box. `config` may be NULL; cmd is NULL-terminated and may be empty. */
int start_box(const char *config, const char *const *cmd, bool machine, instant started);

/* One file each, or a few that belong together. */
int verb_attach(const struct args *a);
int verb_cat(const struct args *a);
int verb_check(const struct args *a);
int verb_completion(const struct args *a);
int verb_config(const struct args *a);
int verb_cp(const struct args *a);
int verb_doctor(const struct args *a);
int verb_exec(const struct args *a);
int verb_kill(const struct args *a);
int verb_logs(const struct args *a);
int verb_ls(const struct args *a);
int verb_ps(const struct args *a);
int verb_ready(const struct args *a);
int verb_status(const struct args *a);
int verb_timeline(const struct args *a);
int verb_top(const struct args *a);
int verb_unit(const struct args *a); /* start, stop, restart */
int verb_wait(const struct args *a);

/* wait.c: CLI_OK once the box is ready, CLI_NO when it cannot be or `limit` has passed. */
int wait_until_ready(const char *host, span limit, bool quiet);

/* "pinnace: VERB: message" and how the verb is used, on stderr; returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct args *a, const char *fmt, ...);
/* "pinnace: message" on stderr; returns CLI_NO. */
int cli_fail(const struct err *e);

#endif
