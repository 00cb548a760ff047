/* ls.c — `pinnace ls`: a directory of the box. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "cli/show.h"

enum { LINE = 8192, MAX_LISTING = 256 << 20 /* bytes of a listing; an error */ };

/* --- asking ----------------------------------------------------------------------------------- */

/* Objects, one a line, as one array: [line,line,...]. In place, but for the two brackets. */
static yyjson_doc *read_lines(char *body, size_t n, struct err *e) {
    for (char *nl = body + 1; (nl = memchr(nl, '\n', (size_t)(body + 1 + n - nl))) != NULL; nl++)
        *nl = nl == body + n ? ' ' : ',';
    body[0] = '[';
    body[n + 1] = ']';
    yyjson_doc *doc = yyjson_read(body, n + 2, 0);
    if (!doc)
        (void)err_set(e, EPROTO, "pinnace's list is not JSON");
    return doc;
}

static yyjson_doc *ask(const struct args *a, const char *route, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    AUTO_FREE char *body = NULL;
    target_path(&t, route, a->words[0], args_value(a, "user"));
    AUTO_CLIENT struct client *c = client_open(a->host, INSTANT_NEVER, e);
    struct http_request r = { .method = "GET", .target = target };
    if (!c)
        return NULL;
    c->http.idle = span_s(ANSWER_S);
    if (client_ask(c, &r, e) < 0 || client_check(c, e) < 0)
        return NULL;
    ssize_t n = http_client_whole(&c->http, MAX_LISTING, &body, e);
    char *room = n < 0 ? NULL : malloc((size_t)n + 3);
    if (!room)
        return NULL;
    memcpy(room + 1, body, (size_t)n);
    yyjson_doc *doc = read_lines(room, (size_t)n, e);
    free(room);
    return doc;
}

/* --- showing ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strcmp(json_str(*(yyjson_val *const *)a, "name"),
                  json_str(*(yyjson_val *const *)b, "name"));
}

static void mode_text(yyjson_val *v, char out[11]) {
    static const char *const types[] = { "file-",   "dird",  "symlinkl", "fifop",
                                         "sockets", "charc", "blockb" };
    static const char bits[] = "rwxrwxrwx";
    unsigned mode = (unsigned)json_int(v, "mode");
    const char *type = json_str(v, "type");
    size_t n = strlen(type);
    out[0] = '?';
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(types[i], type, n) == 0 && n == strlen(types[i]) - 1)
            out[0] = types[i][n];
    for (int i = 0; i < 9; i++)
        out[1 + i] = mode & (0400U >> i) ? bits[i] : '-';
    for (int i = 0; i < 3; i++) /* setuid, setgid, sticky */
        if (mode & (04000U >> i))
            out[3 + 3 * i] = (char)((out[3 + 3 * i] == 'x' ? "sst" : "SST")[i]);
    out[10] = '\0';
}

struct widths {
    int owner, group, size;
};

static int wider(int width, int n) { return n > width ? n : width; }

static void print_long(yyjson_val *v, const struct widths *w) {
    char line[LINE], mode[11], when[32] = "?";
    struct text t = TEXT(line);
    struct tm tm;
    time_t s = (time_t)(json_int(v, "mtime_ms") / 1000);
    mode_text(v, mode);
    if (localtime_r(&s, &tm))
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    text_add(&t, "%s %-*s %-*s %*lld %s %s", mode, w->owner, json_str(v, "owner"), w->group,
             json_str(v, "group"), w->size, (long long)json_int(v, "size"), when,
             json_str(v, "name"));
    if (json_str(v, "target")[0])
        text_add(&t, " -> %s", json_str(v, "target"));
    (void)puts(text_safe(line));
}

static void print_entries(yyjson_val **all, size_t n, bool with_all) {
    struct widths w = { 1, 1, 1 };
    char line[LINE];
    for (size_t i = 0; i < n && with_all; i++) {
        w.owner = wider(w.owner, (int)strlen(json_str(all[i], "owner")));
        w.group = wider(w.group, (int)strlen(json_str(all[i], "group")));
        w.size =
            wider(w.size, snprintf(line, sizeof line, "%lld", (long long)json_int(all[i], "size")));
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(line, sizeof line, "%s", json_str(all[i], "name"));
        if (with_all)
            print_long(all[i], &w);
        else
            (void)puts(text_safe(line));
    }
}

static void print_json(yyjson_val **all, size_t n) {
    for (size_t i = 0; i < n; i++) {
        AUTO_FREE char *text = yyjson_val_write(all[i], 0, NULL);
        (void)printf("%s%s", i ? ",\n" : "[", text ? text : "null");
    }
    (void)puts(n ? "]" : "[]");
}

int verb_ls(const struct args *a) {
    struct err e = { 0 }, why = { 0 };
    size_t n = 0;
    yyjson_val *v = NULL;
    yyjson_doc *doc = ask(a, "/v1/list", &e);
    bool all_names = args_has(a, "all") || !doc;
    if (!doc && e.code != EACCES) { /* what is no directory is an entry itself */
        doc = ask(a, "/v1/stat", &why);
        if (json_is(json_next(yyjson_doc_get_root(doc), &v), "type", "dir")) {
            yyjson_doc_free(doc);
            doc = NULL;
        }
    }
    if (!doc)
        return cli_fail(&e);
    yyjson_val *root = yyjson_doc_get_root(doc);
    v = NULL;
    AUTO_FREE yyjson_val **all = calloc(yyjson_arr_size(root) + 1, sizeof *all);
    while (all && json_next(root, &v))
        if (all_names || json_str(v, "name")[0] != '.')
            all[n++] = v;
    if (n)
        qsort(all, n, sizeof *all, by_name);
    if (args_has(a, "json"))
        print_json(all, n);
    else
        print_entries(all, n, args_has(a, "long"));
    yyjson_doc_free(doc);
    return CLI_OK;
}
