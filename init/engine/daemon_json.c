/* PURE: no I/O. */
#include "engine/daemon_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yyjson.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"

static const char bom[] = "\xef\xbb\xbf";

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t bom_len(struct json_text t) {
    return t.len >= 3 && memcmp(t.at, bom, 3) == 0 ? 3 : 0;
}

static bool is_blank(struct json_text t) {
    for (size_t i = bom_len(t); i < t.len; i++)
        if (!is_space(t.at[i]))
            return false;
    return true;
}

static bool is_utf16(struct json_text t) {
    return t.len >= 2 && (memcmp(t.at, "\xff\xfe", 2) == 0 || memcmp(t.at, "\xfe\xff", 2) == 0);
}

static int refuse_at(struct err *e, const char *name, struct json_text t, size_t pos,
                     const char *why) {
    unsigned line = 1, column = 1;
    for (size_t i = bom_len(t); i < pos && i < t.len; i++) {
        column = t.at[i] == '\n' ? 1 : column + 1;
        line += t.at[i] == '\n';
    }
    return err_set(e, EINVAL, "%s:%u:%u: %s", name, line, column, why);
}

/* The message for where yyjson stopped. Bytes that are not UTF-8 are no error for
 * dockerd (Go replaces them), so they get a code of their own. */
static int refuse(struct err *e, const char *name, struct json_text t, const yyjson_read_err *why) {
    /* The pool is enough for any well-formed text of this length (yyjson.h), so what
     * uses it up is not one. */
    if (why->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return err_set(e, EINVAL, "%s: brackets that are never closed", name);
    size_t pos = why->pos + bom_len(t);
    int code = refuse_at(e, name, t, pos, why->msg);
    bool high = pos < t.len && (unsigned char)t.at[pos] >= 0x80;
    if (why->code != YYJSON_READ_ERROR_INVALID_STRING || !high)
        return code;
    if (e)
        e->code = EILSEQ;
    return -EILSEQ;
}

int daemon_json_parse(struct daemon_json *j, const char *name, struct json_text text,
                      struct err *e) {
    *j = (struct daemon_json){ 0 };
    if (text.len > MAX_DAEMON_JSON)
        return err_set(e, EFBIG, "%s: larger than %d bytes", name, MAX_DAEMON_JSON);
    if (is_utf16(text))
        return err_set(e, EILSEQ, "%s: is UTF-16; save it as UTF-8", name);
    if (is_blank(text))
        return 0;
    size_t skip = bom_len(text), len = text.len - skip;
    size_t cap = yyjson_read_max_memory_usage(len, YYJSON_READ_NOFLAG);
    AUTO_FREE void *pool = malloc(cap);
    yyjson_alc alc;
    if (!pool || !yyjson_alc_pool_init(&alc, pool, cap))
        return err_set(e, ENOMEM, "%s: no memory to read it", name);
    yyjson_read_err why;
    /* Without YYJSON_READ_INSITU the text is only read (yyjson.h). */
    yyjson_doc *doc = yyjson_read_opts((char *)text.at + skip, len, YYJSON_READ_NOFLAG, &alc, &why);
    if (!doc)
        return refuse(e, name, text, &why);
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        return refuse_at(e, name, text, 0, "is not a JSON object { ... }");
    j->doc = doc;
    j->pool = pool;
    pool = NULL;
    return 0;
}

void daemon_json_free(struct daemon_json *j) {
    free(j->pool);
    *j = (struct daemon_json){ 0 };
}

static yyjson_val *find(const struct daemon_json *j, const char *key) {
    yyjson_val *found = NULL, *k;
    yyjson_obj_iter it;
    if (!j->doc || !yyjson_obj_iter_init(yyjson_doc_get_root(j->doc), &it))
        return NULL;
    while ((k = yyjson_obj_iter_next(&it)))
        if (yyjson_equals_str(k, key))
            found = yyjson_obj_iter_get_val(k);
    return found;
}

bool daemon_json_has(const struct daemon_json *j, const char *key) { return find(j, key); }

const char *daemon_json_string(const struct daemon_json *j, const char *key) {
    return yyjson_get_str(find(j, key));
}

const char *daemon_json_item(const struct daemon_json *j, const char *key, size_t nth) {
    return yyjson_get_str(yyjson_arr_get(find(j, key), nth));
}

size_t daemon_json_count(const struct daemon_json *j, const char *key) {
    return yyjson_arr_size(find(j, key));
}

const char *daemon_json_field(const struct daemon_json *j, const char *key, size_t nth,
                              const char *field) {
    const char *found = NULL;
    yyjson_val *k;
    yyjson_obj_iter it;
    if (!yyjson_obj_iter_init(yyjson_arr_get(find(j, key), nth), &it))
        return NULL;
    while ((k = yyjson_obj_iter_next(&it)))
        if (strcasecmp(yyjson_get_str(k), field) == 0)
            found = yyjson_get_str(yyjson_obj_iter_get_val(k));
    return found;
}

int daemon_json_bool(const struct daemon_json *j, const char *key) {
    yyjson_val *v = find(j, key);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : -1;
}

/* Where new members go in: before the white space in front of the last brace. */
struct seam {
    size_t at;       /* offset in the text */
    const char *gap; /* what the user has between members: "\n    " or "" or "\r\n\t" */
    size_t gap_len;
    bool members; /* there are some already, so a comma is due */
    bool close;   /* the closing brace needs a line of its own */
};

/* `t` is known to be one well-formed object, perhaps with space and a mark around it. */
static struct seam find_seam(struct json_text t) {
    static const char gap[] = "\n    ";
    size_t open = bom_len(t), brace = t.len - 1;
    while (is_space(t.at[open]))
        open++;
    while (t.at[brace] != '}')
        brace--;
    size_t at = brace;
    while (is_space(t.at[at - 1]))
        at--;
    struct seam s = { .at = at, .gap = gap, .gap_len = sizeof gap - 1, .members = at - 1 > open };
    if (!s.members) {
        s.at = open + 1;
        s.close = !memchr(t.at + open, '\n', brace - open);
        return s;
    }
    size_t first = open + 1;
    while (is_space(t.at[first]))
        first++;
    s.gap = t.at + open + 1;
    s.gap_len = first - open - 1;
    return s;
}

static void add_members(struct text *t, const struct seam *s, const struct json_want *wants,
                        const struct daemon_json *has) {
    bool comma = s->members;
    for (; wants->key; wants++) {
        if (daemon_json_has(has, wants->key))
            continue;
        if (comma)
            text_put(t, ",", 1);
        text_put(t, s->gap, s->gap_len);
        text_json(t, wants->key, strlen(wants->key));
        text_add(t, ": %s", wants->value);
        comma = true;
    }
    if (s->close)
        text_put(t, "\n", 1);
}

static void tell(struct text *diff, char sign, const char *key, const char *value) {
    text_add(diff, "%s%c %s: %s", diff->len ? ", " : "", sign, key, value);
    if (diff->cut)
        memcpy(diff->buf + diff->len - 3, "...", 3);
}

/* The bytes all wanted keys need at most, and the line that tells of them. */
static size_t describe(struct json_merged *m, const struct json_want *wants,
                       const struct daemon_json *has, size_t gap_len) {
    struct text diff = TEXT(m->diff);
    size_t need = 0;
    for (; wants->key; wants++) {
        if (daemon_json_has(has, wants->key))
            continue;
        /* A byte of a key may become six ("\u0001"). */
        need += 6 * strlen(wants->key) + strlen(wants->value) + gap_len + 8;
        tell(&diff, '+', wants->key, wants->value);
    }
    return need;
}

int daemon_json_merge(struct json_merged *m, const char *name, struct json_text text,
                      const struct json_want *wants, struct err *e) {
    static const struct json_text nothing = { "{}\n", 3 };
    *m = (struct json_merged){ 0 };
    struct daemon_json has;
    int rc = daemon_json_parse(&has, name, text, e);
    if (rc < 0)
        return rc;
    if (!has.doc)
        text = nothing;
    struct seam s = find_seam(text);
    size_t need = describe(m, wants, &has, s.gap_len);
    if (need == 0) {
        daemon_json_free(&has);
        return 0;
    }
    size_t cap = text.len + need + 2;
    m->text = cap <= MAX_DAEMON_JSON ? malloc(cap) : NULL;
    if (m->text) {
        struct text t = { .buf = m->text, .cap = cap };
        text_put(&t, text.at, s.at);
        add_members(&t, &s, wants, &has);
        text_put(&t, text.at + s.at, text.len - s.at);
        m->len = t.len;
    }
    daemon_json_free(&has);
    if (!m->text)
        return err_set(e, cap > MAX_DAEMON_JSON ? EFBIG : ENOMEM, "%s: no room for our keys", name);
    return 1;
}

/* One member of ours, and what is wanted in its place. */
static void tell_member(struct text *diff, yyjson_val *key, const struct json_want *wants) {
    while (wants->key && !yyjson_equals_str(key, wants->key))
        wants++;
    AUTO_FREE char *old = yyjson_val_write(yyjson_obj_iter_get_val(key), 0, NULL);
    if (old && wants->key && strcmp(old, wants->value) == 0)
        return;
    tell(diff, '-', yyjson_get_str(key), old ? old : "?");
    if (wants->key)
        tell(diff, '+', wants->key, wants->value);
}

void daemon_json_changes(char diff[MAX_JSON_DIFF], struct json_text base, struct json_text is,
                         const struct json_want *wants) {
    struct text line = { .buf = diff, .cap = MAX_JSON_DIFF };
    struct daemon_json was, now;
    yyjson_obj_iter it;
    yyjson_val *key;
    diff[0] = '\0';
    (void)daemon_json_parse(&was, "", base, NULL);
    (void)daemon_json_parse(&now, "", is, NULL);
    /* A merge adds at the end: ours are those behind as many as there were before. */
    size_t before = yyjson_obj_size(yyjson_doc_get_root(was.doc));
    if (yyjson_obj_iter_init(yyjson_doc_get_root(now.doc), &it))
        for (size_t i = 0; (key = yyjson_obj_iter_next(&it)); i++)
            if (i >= before)
                tell_member(&line, key, wants);
    for (; wants->key; wants++)
        if (!daemon_json_has(&now, wants->key))
            tell(&line, '+', wants->key, wants->value);
    daemon_json_free(&was);
    daemon_json_free(&now);
}
