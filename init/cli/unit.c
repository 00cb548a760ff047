/* unit.c — `pinnace start`, `stop`, `restart`: ask PID 1, then wait until it is so. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"

enum { RETRY_MS = 20, RETRIES = 250 }; /* while the channel is started again: 5 s */

struct wish {
    const struct args *a;
    bool stop, restart;
    instant deadline;
};

/* A unit at the time when it was asked. */
struct before {
    int64_t starts;
    bool failed;
    instant asked;
};

static yyjson_doc *get_status(const struct wish *w, int64_t after, struct err *e) {
    char target[64];
    AUTO_FREE char *body = NULL;
    (void)snprintf(target, sizeof target, "/v1/status?after=%lld", (long long)after);
    if (client_text(w->a->host, target, w->deadline, &body, e) < 0)
        return NULL;
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    if (!doc)
        (void)err_set(e, EPROTO, "pinnace's status is not JSON");
    return doc;
}

static yyjson_val *find_unit(yyjson_doc *doc, const char *name) {
    yyjson_val *u = NULL, *units = json_list(doc, "units");
    while (json_next(units, &u) && !json_is(u, "name", name))
        ;
    return u;
}

/* --- is it so ? PURE -------------------------------------------------------------------------- */

static bool one_of(const char *state, const char *a, const char *b) {
    return strcmp(state, a) == 0 || strcmp(state, b) == 0;
}

/* 1 yes, 0 not yet, -1 it will not be. A failure counts if it is one of this start. */
static int judge(const struct wish *w, const struct before *b, yyjson_val *u, instant now) {
    const char *state = json_str(u, "state");
    bool newly = json_int(u, "starts") > b->starts;
    bool after = json_int(u, "since_ms") <= span_to_ms(instant_since(now, b->asked));
    if (w->stop)
        return one_of(state, "down", "done") || strcmp(state, "failed") == 0;
    if (one_of(state, "ready", "done"))
        return newly || !w->restart;
    return strcmp(state, "failed") == 0 && (newly || after || !b->failed) ? -1 : 0;
}

/* --- asking and waiting ----------------------------------------------------------------------- */

static int ask(const struct wish *w, const char *name, struct before *b, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    yyjson_doc *doc = get_status(w, 0, e);
    if (!doc)
        return -e->code;
    yyjson_val *u = find_unit(doc, name);
    *b = (struct before){ .starts = json_int(u, "starts"),
                          .failed = json_is(u, "state", "failed"),
                          .asked = instant_now() };
    yyjson_doc_free(doc);
    text_add(&t, "/v1/units");
    target_add(&t, NULL, name);
    text_add(&t, "/%s", w->a->verb->name);
    doc = client_call(w->a->host, target, "", e);
    yyjson_doc_free(doc);
    return doc ? 0 : -e->code;
}

static int too_late(const char *name, yyjson_val *u, const char *state, struct err *e) {
    const char *reason = json_str(u, "reason");
    return err_set(e, ETIMEDOUT, "%s is still %s%s%s", name, u ? json_str(u, "state") : state,
                   reason[0] ? ": " : "", reason);
}

static int await(const struct wish *w, const char *name, const struct before *b, struct err *e) {
    char last[16] = "being waited for";
    int64_t seq = 0;
    for (int lost = 0;;) {
        yyjson_doc *doc = get_status(w, seq, e);
        if (!doc && e->code == ETIMEDOUT)
            return too_late(name, NULL, last, e);
        if (!doc) { /* the channel may be on its way back */
            if (++lost > RETRIES)
                return -e->code;
            (void)poll(NULL, 0, RETRY_MS);
            seq = 0;
            continue;
        }
        yyjson_val *u = find_unit(doc, name);
        int rc = judge(w, b, u, instant_now());
        seq = json_int(yyjson_doc_get_root(doc), "seq");
        (void)snprintf(last, sizeof last, "%s", json_str(u, "state"));
        if (rc < 0)
            (void)err_set(e, EIO, "%s has failed: %s", name, json_str(u, "reason"));
        yyjson_doc_free(doc);
        if (rc != 0)
            return rc < 0 ? -EIO : 0;
    }
}

int verb_unit(const struct args *a) {
    struct wish w = { .a = a,
                      .stop = strcmp(a->verb->name, "stop") == 0,
                      .restart = strcmp(a->verb->name, "restart") == 0 };
    struct err e = { 0 };
    span limit = SPAN_NEVER;
    int status = CLI_OK;
    if (args_span(a, "timeout", &limit, &e) < 0)
        return cli_usage(a, "%s", e.text);
    w.deadline = instant_add(instant_now(), limit);
    AUTO_FREE struct before *before = calloc((size_t)a->nwords, sizeof *before);
    AUTO_FREE bool *asked = calloc((size_t)a->nwords, sizeof *asked);
    for (int i = 0; before && asked && i < a->nwords; i++) {
        asked[i] = ask(&w, a->words[i], &before[i], &e) == 0;
        status = asked[i] ? status : cli_fail(&e);
    }
    for (int i = 0; before && asked && i < a->nwords; i++) {
        if (!asked[i])
            continue;
        if (!args_has(a, "no-wait") && await(&w, a->words[i], &before[i], &e) < 0)
            status = cli_fail(&e);
        else
            (void)puts(a->words[i]);
    }
    return status;
}
