/* cat.c — `pinnace cat`: contents of files of the box on standard output. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/session.h"

static int print_file(const struct args *a, const char *path, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    const char *piece;
    ssize_t n;
    target_path(&t, "/v1/files", path, args_value(a, "user"));
    AUTO_CLIENT struct client *c = client_open(a->host, client_soon(), e);
    struct http_request r = { .method = "GET", .target = target };
    if (!c || client_ask(c, &r, e) < 0 || client_check(c, e) < 0)
        return -e->code;
    c->http.deadline = INSTANT_NEVER; /* whoever reads ours may take their time */
    c->http.idle = span_s(ANSWER_S);
    while ((n = http_client_read(&c->http, &piece, e)) > 0) {
        int rc = session_print(1, piece, (size_t)n);
        if (rc < 0)
            return err_sys(e, -rc, "write");
    }
    return (int)n;
}

int verb_cat(const struct args *a) {
    int status = CLI_OK;
    for (int i = 0; i < a->nwords; i++) {
        struct err e = { 0 };
        if (print_file(a, a->words[i], &e) < 0)
            status = cli_fail(&e);
    }
    return status;
}
