/* status.c — `pinnace status` and `pinnace ready`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "conf/rundir.h"

enum { ANSWER_S = 10 };

static int fail(const struct err *e) {
    (void)fprintf(stderr, "pinnace: %s\n", e->text);
    return CLI_NO;
}

static void print_unit(yyjson_val *u) {
    char age[24], exit[16] = "-", pid[24] = "-";
    yyjson_val *status = yyjson_obj_get(u, "exit_status");
    if (yyjson_is_int(status))
        (void)snprintf(exit, sizeof exit, "%d", (int)yyjson_get_int(status));
    if (json_int(u, "pid") > 0)
        (void)snprintf(pid, sizeof pid, "%lld", (long long)json_int(u, "pid"));
    (void)printf("%-16s %-8s %-9s %7s %8s %6lld %5s  %s\n", json_str(u, "name"),
                 json_str(u, "kind"), json_str(u, "state"), pid,
                 format_span(age, sizeof age, span_ms(json_int(u, "since_ms"))),
                 (long long)json_int(u, "starts"), exit, json_str(u, "reason"));
}

static void print_table(yyjson_val *root) {
    char up[24], after[24];
    yyjson_val *ready_after = yyjson_obj_get(root, "ready_after_ms");
    size_t i, n;
    yyjson_val *u, *units = yyjson_obj_get(root, "units");
    (void)printf("%s, phase %s, up %s",
                 yyjson_get_bool(yyjson_obj_get(root, "ready")) ? "ready" : "not ready",
                 json_str(root, "phase"),
                 format_span(up, sizeof up, span_ms(json_int(root, "up_ms"))));
    if (yyjson_is_int(ready_after))
        (void)printf(", ready after %s",
                     format_span(after, sizeof after, span_ms(yyjson_get_sint(ready_after))));
    (void)printf(", orphans reaped %lld\n", (long long)json_int(root, "orphans_reaped"));
    if (json_str(root, "reason")[0])
        (void)printf("%s\n", json_str(root, "reason"));
    if (yyjson_arr_size(units) == 0)
        return;
    (void)printf("\n%-16s %-8s %-9s %7s %8s %6s %5s  %s\n", "NAME", "KIND", "STATE", "PID", "FOR",
                 "STARTS", "EXIT", "REASON");
    yyjson_arr_foreach(units, i, n, u) print_unit(u);
}

int verb_status(int argc, char **argv) {
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json)
        return cli_usage("usage: status [--json]");
    struct answer a;
    struct err e = { 0 };
    if (client_get("/v1/status", instant_add(instant_now(), span_s(ANSWER_S)), &a, &e) < 0)
        return fail(&e);
    yyjson_doc *doc = json ? NULL : yyjson_read(a.body, a.len, 0);
    if (json)
        (void)fputs(a.body, stdout);
    else if (doc)
        print_table(yyjson_doc_get_root(doc));
    int rc = json || doc ? CLI_OK : cli_usage("pinnace's answer is not JSON");
    yyjson_doc_free(doc);
    answer_free(&a);
    return rc;
}

/* Whoever may not ask the socket can still see the file. */
static int ready_by_file(const struct err *why) {
    char dir[RUNDIR_MAX], path[RUNDIR_MAX + 16];
    const char *run_dir = getenv("PINNACE_RUN_DIR");
    if (rundir_find(run_dir ? run_dir : "auto", 0, dir, NULL) < 0)
        return fail(why);
    (void)snprintf(path, sizeof path, "%s/ready", dir);
    if (access(path, F_OK) == 0)
        return CLI_OK;
    (void)fprintf(stderr, "not ready (%s)\n", why->text);
    return CLI_NO;
}

static int ready_now(void) {
    struct answer a;
    struct err e = { 0 };
    int rc = client_get("/readyz", instant_add(instant_now(), span_s(ANSWER_S)), &a, &e);
    if (rc == -EACCES)
        return ready_by_file(&e);
    if (rc < 0)
        return fail(&e);
    bool ready = a.status == 200;
    (void)fputs(a.body, ready ? stdout : stderr);
    answer_free(&a);
    return ready ? CLI_OK : CLI_NO;
}

int verb_ready(int argc, char **argv) {
    if (argc == 1)
        return ready_now();
    span limit = SPAN_NEVER;
    struct err e = { 0 };
    if (strcmp(argv[1], "--wait") != 0 || argc > 3)
        return cli_usage("usage: ready [--wait [TIME]]");
    if (argc == 3 && parse_span(argv[2], true, &limit, &e) < 0)
        return cli_usage("ready: %s", e.text);
    return wait_until_ready(limit, true);
}
