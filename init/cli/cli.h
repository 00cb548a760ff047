/* cli.h — the program as people call it.
 *
 * As PID 1 every argument is CMD's. Otherwise the first one is a verb of the table in
 * cli.c, from which `pinnace help` is made.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/time.h"

/* Exit statuses of the verbs; `run` and PID 1 have CMD's and those of box.h. */
enum { CLI_OK = 0, CLI_NO = 1, CLI_USAGE = 2 };

/* Both return the exit status. */
int cli_pid1(int argc, char **argv, instant started);
int cli_main(int argc, char **argv, instant started);

struct verb {
    const char *name, *args, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
};

/* start.c: run a box. `config` may be NULL; cmd is NULL-terminated and may be empty. */
int start_box(const char *config, const char *const *cmd, instant started);

int verb_doctor(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_config(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_ready(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_timeline(int argc, char **argv);

/* wait.c: CLI_OK once the box is ready, CLI_NO when it cannot be or `limit` has passed. */
int wait_until_ready(span limit, bool quiet);

/* "pinnace: message" on stderr; returns CLI_USAGE. */
__attribute__((format(printf, 1, 2))) int cli_usage(const char *fmt, ...);

#endif
