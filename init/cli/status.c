/* status.c — `pinnace status` and `pinnace ready`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "conf/rundir.h"

static void print_unit(yyjson_val *u) {
    char age[24], exit[16] = "-", pid[24] = "-";
    int status;
    if (json_has_int(u, "exit_status", &status))
        (void)snprintf(exit, sizeof exit, "%d", status);
    if (json_int(u, "pid") > 0)
        (void)snprintf(pid, sizeof pid, "%lld", (long long)json_int(u, "pid"));
    (void)printf("%-16s %-8s %-9s %7s %8s %6lld %5s  %s\n", json_str(u, "name"),
                 json_str(u, "kind"), json_str(u, "state"), pid,
                 format_span(age, sizeof age, span_ms(json_int(u, "since_ms"))),
                 (long long)json_int(u, "starts"), exit, json_str(u, "reason"));
}

static void print_table(yyjson_val *root) {
    char up[24], after[24];
    yyjson_val *u = NULL, *units = json_get(root, "units");
    (void)printf("%s, phase %s, up %s", json_bool(root, "ready") ? "ready" : "not ready",
                 json_str(root, "phase"),
                 format_span(up, sizeof up, span_ms(json_int(root, "up_ms"))));
    if (yyjson_is_int(json_get(root, "ready_after_ms")))
        (void)printf(", ready after %s",
                     format_span(after, sizeof after, span_ms(json_int(root, "ready_after_ms"))));
    (void)printf(", orphans reaped %lld\n", (long long)json_int(root, "orphans_reaped"));
    if (json_str(root, "reason")[0])
        (void)printf("%s\n", json_str(root, "reason"));
    if (yyjson_arr_size(units) == 0)
        return;
    (void)printf("\n%-16s %-8s %-9s %7s %8s %6s %5s  %s\n", "NAME", "KIND", "STATE", "PID", "FOR",
                 "STARTS", "EXIT", "REASON");
    while (json_next(units, &u))
        print_unit(u);
}

int verb_status(const struct args *a) {
    AUTO_FREE char *body = NULL;
    struct err e = { 0 };
    if (client_text(a->host, "/v1/status", client_soon(), &body, &e) < 0)
        return cli_fail(&e);
    if (args_has(a, "json"))
        return fputs(body, stdout) < 0;
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    if (!doc) {
        (void)err_set(&e, EPROTO, "pinnace's answer is not JSON");
        return cli_fail(&e);
    }
    print_table(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return CLI_OK;
}

/* Whoever may not ask the socket can still see the file. */
static int ready_by_file(const struct err *why) {
    char dir[RUNDIR_MAX], path[RUNDIR_MAX + 16];
    const char *run_dir = getenv("PINNACE_RUN_DIR");
    if (rundir_find(run_dir ? run_dir : "auto", 0, dir, NULL) < 0)
        return cli_fail(why);
    (void)snprintf(path, sizeof path, "%s/ready", dir);
    if (access(path, F_OK) == 0)
        return CLI_OK;
    (void)fprintf(stderr, "not ready (%s)\n", why->text);
    return CLI_NO;
}

static int ready_now(const char *host) {
    AUTO_FREE char *body = NULL;
    struct err e = { 0 };
    int rc = client_text(host, "/readyz", client_soon(), &body, &e);
    if (rc == -EACCES && !host && !getenv("PINNACE_HOST"))
        return ready_by_file(&e);
    if (rc < 0)
        return cli_fail(&e);
    (void)fputs(body, rc == 200 ? stdout : stderr);
    return rc == 200 ? CLI_OK : CLI_NO;
}

int verb_ready(const struct args *a) {
    span limit = SPAN_NEVER;
    struct err e = { 0 };
    const char *time = args_value(a, "wait");
    if (!time)
        return a->nwords ? cli_usage(a, "TIME is for --wait") : ready_now(a->host);
    if (a->nwords && !*time)
        time = a->words[0];
    if (*time && parse_span(time, true, &limit, &e) < 0)
        return cli_usage(a, "%s", e.text);
    return wait_until_ready(a->host, limit, true);
}
