/* watching.c — a watch: what is asked for, its worker, the lines that come of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/glob.h"
#include "base/own.h"
#include "channel/cloudflare/watch.h"

/* As they are told, and as the worker writes them. */
enum type { CREATE, MODIFY, DELETE, MOVE_FROM, MOVE_TO, ATTRIB, NTYPES };
static const char *const type_texts[NTYPES] = { "create",    "modify",  "delete",
                                                "move_from", "move_to", "attrib" };

/* --- what is asked for ------------------------------------------------------------------------ */

static bool refuse(struct http_exchange *x, const char *member, const char *why) {
    cf_refuse_member(x, member, "INVALID_WATCH", why);
    return false;
}

/* Only '*', "**" and '?' mean anything: whoever means more would be disappointed. */
static bool is_pattern(yyjson_val *v) {
    const char *s = yyjson_get_str(v);
    size_t n = yyjson_get_len(v);
    return s && n > 0 && n <= GLOB_MAX && strlen(s) == n && !strpbrk(s, "[]{}()!\\");
}

static bool take_patterns(struct http_exchange *x, yyjson_val *body, const char *member,
                          const char ***out) {
    yyjson_val *list = yyjson_obj_get(body, member), *v;
    size_t i, n, size = yyjson_arr_size(list);
    *out = NULL;
    if (!list || yyjson_is_null(list))
        return true;
    if (!yyjson_is_arr(list) || size > MAX_CF_PATTERNS)
        return refuse(x, member, "a list of at most 256 patterns is needed");
    *out = calloc(size + 1, sizeof **out);
    if (!*out) {
        cf_no_memory(x, "patterns");
        return false;
    }
    yyjson_arr_foreach(list, i, n, v) {
        if (!is_pattern(v))
            return refuse(x, member,
                          "patterns know only *, ** and ?, and have at most 255 characters");
        (*out)[i] = yyjson_get_str(v);
    }
    return true;
}

static bool take_events(struct http_exchange *x, yyjson_val *body, unsigned *events) {
    yyjson_arr_iter all = yyjson_arr_iter_with(yyjson_obj_get(body, "events"));
    *events = yyjson_arr_iter_has_next(&all) ? 0 : (1U << NTYPES) - 1;
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&all));) {
        size_t type = 0;
        while (type < NTYPES && !yyjson_equals_str(v, type_texts[type]))
            type++;
        if (type == NTYPES)
            return refuse(x, "events",
                          "create, modify, delete, move_from, move_to and attrib are known");
        *events |= 1U << type;
    }
    return true;
}

/* What hardly anybody wants to hear of, where nothing is said. */
static bool exclude_usual(struct http_exchange *x, struct cf_watch_ask *a) {
    static const char *const usual[] = { ".git", "node_modules", ".DS_Store", NULL };
    if (a->exclude || a->include)
        return true;
    a->exclude = malloc(sizeof usual);
    if (a->exclude)
        memcpy(a->exclude, usual, sizeof usual);
    else
        cf_no_memory(x, "patterns");
    return a->exclude != NULL;
}

bool cf_watch_take(struct cf_watch_ask *a, struct http_exchange *x, yyjson_val *body) {
    *a = (struct cf_watch_ask){ 0 };
    body = cf_body(x, body);
    a->path = body ? cf_path_member(x, body, "path") : NULL;
    if (!a->path || !cf_resolve(x, body, a->path, a->absolute) ||
        !take_patterns(x, body, "include", &a->include) ||
        !take_patterns(x, body, "exclude", &a->exclude) || !take_events(x, body, &a->events))
        return false;
    if (a->include && a->include[0] && a->exclude && a->exclude[0])
        return refuse(x, "include", "include and exclude cannot be used together");
    if (a->include && !a->include[0])
        mem_release(&a->include);
    a->recursive = cf_flag(body, "recursive", true);
    return exclude_usual(x, a);
}

void cf_watch_release(struct cf_watch_ask *a) {
    mem_release(&a->include);
    mem_release(&a->exclude);
}

/* --- in the worker ---------------------------------------------------------------------------- */

static void put(struct text *out, enum type type, const struct file_event *e) {
    text_add(out, "%d%d", (int)type, e->is_dir);
    text_json(out, e->path, strlen(e->path));
    text_add(out, "\n");
}

/* A file that is put into place as a whole is not written to afterwards, but those who wait for its
 * content wait for that. */
static void put_created(struct text *out, const struct file_event *e) {
    bool filled = e->entry && S_ISREG(e->entry->st.st_mode) && e->entry->st.st_size > 0;
    put(out, e->rewritten ? MODIFY : e->moved ? MOVE_TO : CREATE, e);
    if (filled && !e->moved)
        put(out, MODIFY, e);
}

static void render(const struct file_event *e, size_t index, struct text *out) {
    static const enum type types[] = { [FILE_WRITTEN] = MODIFY,
                                       [FILE_REMOVED] = DELETE,
                                       [FILE_RENAMED] = MOVE_FROM,
                                       [FILE_CHMODED] = ATTRIB };
    (void)index;
    if (e->kind == FILE_WATCHING || e->kind == FILE_OVERFLOW)
        text_add(out, e->kind == FILE_WATCHING ? "+\n" : "!\n");
    else if (e->kind == FILE_CREATED)
        put_created(out, e);
    else
        put(out, types[e->kind], e);
}

/* --- the watch -------------------------------------------------------------------------------- */

static void end(struct cf_watching *w) {
    if (w->over)
        return;
    w->over = true;
    w->ended(w);
}

static bool take_line(struct lines *l, const char *line, size_t n) {
    struct cf_watching *w = CONTAINER_OF(l, struct cf_watching, lines);
    if (n > 0 && *line == '+') {
        w->on = true;
        w->begun(w);
        return true;
    }
    if (n > 0 && *line == '!')
        return w->event(w, CF_WATCH_OVERFLOW, true, (struct slice){ "\"\"", 2 });
    unsigned type = n > 3 ? (unsigned char)*line - (unsigned)'0' : NTYPES;
    if (type >= NTYPES || !(w->events & 1U << type))
        return true;
    return w->event(w, type_texts[type], line[1] == '1', (struct slice){ line + 2, n - 2 });
}

/* Both have to be known: that all lines are read, and how the worker has ended. */
static void settle(struct cf_watching *w) {
    if (w->finished && (w->emptied || !w->lines.bytes))
        end(w);
}

static void lines_ended(struct lines *l, int code) {
    struct cf_watching *w = CONTAINER_OF(l, struct cf_watching, lines);
    (void)code;
    w->emptied = true;
    settle(w);
}

static void opened(struct file_task *t) {
    struct cf_watching *w = CONTAINER_OF(t, struct cf_watching, task);
    w->lines.line = take_line;
    w->lines.ended = lines_ended;
    file_go(t, 0, 0);
    if (lines_begin(&w->lines, t->files->loop, t->data) < 0)
        file_cancel(t), end(w);
}

static void finished(struct file_task *t) {
    struct cf_watching *w = CONTAINER_OF(t, struct cf_watching, task);
    w->finished = true;
    settle(w);
}

void cf_watching_begin(struct cf_watching *w, struct channel *ch, const struct cf_watch_ask *a,
                       const char *user) {
    struct file_req q = { .op = FILE_WATCH,
                          .path = a->absolute,
                          .user = user,
                          .recursive = a->recursive,
                          .entries = true,
                          .network_ok = true,
                          .exclude = a->exclude,
                          .include = a->include,
                          .event = render };
    w->events = a->events;
    w->task.opened = opened;
    w->task.finished = finished;
    if (file_begin(&ch->files, &w->task, &q, NULL) < 0)
        end(w);
}

void cf_watching_stop(struct cf_watching *w) {
    w->over = true;
    lines_stop(&w->lines);
    file_cancel(&w->task);
}

void cf_watching_fail(struct http_exchange *x, const struct cf_watching *w, const char *path) {
    static const struct file_task none = { .fault = FILE_FAILED,
                                           .why = "the watch has ended before it was on" };
    cf_file_fail(x, &(struct cf_failure){ .operation = "file.watch",
                                          .path = path,
                                          .task = w->task.fault ? &w->task : &none,
                                          .subject = "Path" });
}

void cf_watch_id(struct channel *ch, char out[CF_WATCH_ID]) {
    struct cf_state *all = &ch->cloudflare;
    if (!all->boot)
        (void)getrandom(&all->boot, sizeof all->boot, 0);
    struct text t = { .buf = out, .cap = CF_WATCH_ID };
    text_add(&t, "watch-%08" PRIx32 "-%" PRIu64, all->boot, ++all->serial);
}
