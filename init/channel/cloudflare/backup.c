/* backup.c — a directory as one file, and back.
 *
 *     create:   worker that packs  -> gzip, a fork -> worker that writes
 *     restore:  worker that reads  -> gunzip       -> worker that unpacks
 *
 * Neither end is told to be complete before all three have ended well, so what is there afterwards
 * is either all of it, or what was there before. The archive is a tar file, packed with gzip.
 */
#include "channel/cloudflare/backup.h"

#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/own.h"
#include "channel/cloudflare/ignored.h"
#include "channel/cloudflare/session.h"
#include "channel/filter.h"
#include "channel/gzip.h"

struct backup {
    struct http_exchange *x;
    bool restores;
    struct file_task from, to;
    struct filter filter;
    bool from_open, to_open;
    bool from_over;       /* its worker has ended */
    bool filtered;        /* the fork has */
    bool over;            /* it has been answered */
    char *dir, *archive;  /* as asked for; owned */
    const char **exclude; /* owned, with the texts */
    struct cf_ignored ignored;
    const char **all; /* of both; owned, but not the texts */
};

/* --- answers ---------------------------------------------------------------------------------- */

static void stop(struct backup *b) {
    cf_ignored_stop(&b->ignored);
    filter_stop(&b->filter);
    file_cancel(&b->from);
    file_cancel(&b->to);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct backup *b = x->ctx;
    stop(b);
    free(b->dir);
    free(b->archive);
    free(b->exclude);
    free(b->all);
    free(b);
}

static const struct http_handler handler = { .over = over };

static void fail(struct backup *b, const char *why) {
    char buf[CF_ERROR];
    struct text t = TEXT(buf);
    bool none = b->restores && !b->from_open && b->from.fault == FILE_NOT_FOUND;
    if (b->over)
        return;
    b->over = true;
    cf_put(&t, "dir", b->dir);
    cf_put(&t, "archivePath", b->archive);
    struct cf_error e = { .code = none          ? CF_BACKUP_NOT_FOUND
                                  : b->restores ? CF_BACKUP_RESTORE_FAILED
                                                : CF_BACKUP_CREATE_FAILED,
                          .operation = b->restores ? "backup.restore" : "backup.create",
                          .context = t.cut ? NULL : t.buf };
    cf_error(b->x, &e, "Backup %s failed: %.2000s", b->restores ? "restore" : "creation", why);
    stop(b);
}

/* The package's server tells no time here. */
static void answer(struct backup *b) {
    AUTO_FREE char *buf = malloc(CF_TEXT);
    struct text t = { .buf = buf, .cap = CF_TEXT };
    if (!buf) {
        fail(b, "out of memory for an answer");
        return;
    }
    b->over = true;
    text_add(&t, "{\"success\":true");
    if (b->restores) {
        cf_put(&t, "dir", b->dir);
    } else {
        cf_put_number(&t, "sizeBytes", b->to.info.st.st_size);
        cf_put(&t, "archivePath", b->archive);
    }
    text_add(&t, "}");
    cf_document(b->x, &t);
}

/* --- the three -------------------------------------------------------------------------------- */

/* The worker that takes is only told that all was there once that is known. */
static void settle(struct backup *b) {
    if (b->over || !b->from_over || !b->filtered)
        return;
    bool broken = b->filter.status == GZIP_BROKEN || b->filter.status == GZIP_CUT;
    if (b->restores && broken) /* then its reader was not wanted any more */
        fail(b, "the archive is no gzip file, or is cut off");
    else if (b->from.fault != FILE_OK)
        fail(b, b->from.why);
    else if (b->filter.status != GZIP_DONE)
        fail(b, "the archive could not be packed or unpacked");
    else
        file_content_complete(&b->to);
}

static void filter_ended(struct filter *f) {
    struct backup *b = CONTAINER_OF(f, struct backup, filter);
    b->filtered = true;
    settle(b);
}

/* Both ends are there. */
static void join(struct backup *b) {
    if (b->over || !b->from_open || !b->to_open)
        return;
    file_go(&b->to, 0, 0);
    file_go(&b->from, 0, (uint64_t)b->from.info.st.st_size);
    b->filter.ended = filter_ended;
    if (filter_begin(channel_of(b->x), &b->filter, b->restores ? "gunzip" : "gzip",
                     b->restores ? gzip_decode_fds : gzip_encode_fds, b->from.data,
                     b->to.data) < 0) {
        fail(b, "out of processes or descriptors");
        return;
    }
    fd_close(&b->from.data); /* so that its worker hears of the filter's end */
}

static void from_opened(struct file_task *t) {
    struct backup *b = CONTAINER_OF(t, struct backup, from);
    b->from_open = true;
    join(b);
}

static void to_opened(struct file_task *t) {
    struct backup *b = CONTAINER_OF(t, struct backup, to);
    b->to_open = true;
    join(b);
}

static void from_finished(struct file_task *t) {
    struct backup *b = CONTAINER_OF(t, struct backup, from);
    b->from_over = true;
    if (!b->from_open)
        fail(b, t->why);
    else
        settle(b);
}

static void to_finished(struct file_task *t) {
    struct backup *b = CONTAINER_OF(t, struct backup, to);
    if (t->fault != FILE_OK)
        fail(b, t->why);
    else if (!b->over)
        answer(b);
}

static void begin(struct backup *b, const struct file_req *from, const struct file_req *to) {
    struct files *f = &channel_of(b->x)->files;
    b->from.opened = from_opened;
    b->from.finished = from_finished;
    b->to.opened = to_opened;
    b->to.finished = to_finished;
    if (file_begin(f, &b->from, from, NULL) < 0)
        fail(b, b->from.why);
    else if (file_begin(f, &b->to, to, NULL) < 0)
        fail(b, b->to.why);
}

/* --- what is asked for ------------------------------------------------------------------------ */

static bool refuse(struct http_exchange *x, const char *reason) {
    char buf[1024];
    struct text t = TEXT(buf);
    cf_put(&t, "reason", reason);
    cf_fail(x, CF_INVALID_BACKUP_CONFIG, &t, "Invalid backup configuration: %s", reason);
    return false;
}

static bool is_below(const char *path, const char *dir) {
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Without a part that leads elsewhere. */
static bool is_straight(const char *path) {
    for (const char *p = path; *p; p++) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += n;
        if (!*p)
            break;
    }
    return *path == '/' && strlen(path) < PATH_MAX;
}

static bool places_are_good(struct http_exchange *x, yyjson_val *body, const char **dir,
                            const char **archive) {
    static const char *const dirs[] = { "/workspace", "/home", "/tmp", "/var/tmp", "/app" };
    bool good = false;
    *dir = cf_path_fault(cf_bytes(body, "dir")) ? NULL : cf_text(body, "dir");
    *archive = cf_path_fault(cf_bytes(body, "archivePath")) ? NULL : cf_text(body, "archivePath");
    for (size_t i = 0; *dir && i < sizeof dirs / sizeof dirs[0]; i++)
        good |= is_below(*dir, dirs[i]);
    if (!good || !is_straight(*dir))
        return refuse(x, "dir: a path below /workspace, /home, /tmp, /var/tmp or /app is needed");
    if (!*archive || !has_prefix(*archive, "/var/backups/") || !is_straight(*archive) ||
        !strrchr(*archive, '/')[1])
        return refuse(x, "archivePath: a file below /var/backups/ is needed");
    return true;
}

/* Patterns as they are, in one block of memory; *out NULL: there are none. */
static bool take_excludes(struct http_exchange *x, yyjson_val *body, const char ***out) {
    yyjson_val *list = yyjson_obj_get(body, "excludes"), *v;
    size_t i, n, bytes = 0, size = yyjson_arr_size(list);
    *out = NULL;
    if (size > MAX_CF_PATTERNS)
        return refuse(x, "excludes: there are more than 256");
    if (size == 0)
        return true;
    yyjson_arr_foreach(list, i, n, v) {
        size_t len = yyjson_get_len(v);
        if (!yyjson_is_str(v) || len == 0 || len > GLOB_MAX || strlen(yyjson_get_str(v)) != len ||
            strpbrk(yyjson_get_str(v), "[]{}!\\"))
            return refuse(x, "excludes: patterns know only *, ** and ?, and have at most 255 "
                             "characters");
        bytes += len + 1;
    }
    *out = malloc((size + 1) * sizeof **out + bytes);
    if (!*out) {
        cf_no_memory(x, "patterns");
        return false;
    }
    char *text = (char *)(*out + size + 1);
    yyjson_arr_foreach(list, i, n, v) {
        (*out)[i] = text;
        text = stpcpy(text, yyjson_get_str(v)) + 1;
    }
    (*out)[size] = NULL;
    return true;
}

/* lz4 is what the package says when nobody has asked for anything, and only this server will read
 * the archive; zstd is somebody's wish, which cannot be met. */
static bool compression_is_ours(struct http_exchange *x, yyjson_val *body) {
    yyjson_val *c = yyjson_obj_get(body, "compression");
    const char *format = cf_text(c, "format");
    if (!c || yyjson_is_null(c) || (yyjson_is_obj(c) && !yyjson_obj_get(c, "format")))
        return true;
    return (format && (strcmp(format, "gzip") == 0 || strcmp(format, "lz4") == 0)) ||
           refuse(x, "compression.format: there is only gzip here; name that, or none");
}

/* NULL, and it has been answered. */
static struct backup *backup_new(struct http_exchange *x, yyjson_val *body, bool restores) {
    const char *dir, *archive;
    body = cf_body(x, body);
    if (!body || !places_are_good(x, body, &dir, &archive))
        return NULL;
    struct backup *b = calloc(1, sizeof *b);
    if (b) {
        b->dir = strdup(dir);
        b->archive = strdup(archive);
    }
    if (!b || !b->dir || !b->archive) {
        if (b)
            free(b->dir);
        free(b);
        cf_no_memory(x, "a backup");
        return NULL;
    }
    b->x = x;
    b->restores = restores;
    x->ctx = b;
    x->handler = &handler;
    return b;
}

static void create(struct backup *b, const char *const *exclude) {
    begin(b,
          &(struct file_req){ .op = FILE_TAR,
                              .path = b->dir,
                              .user = cf_user(b->x),
                              .contents = true,
                              .exclude = exclude },
          &(struct file_req){ .op = FILE_WRITE, .path = b->archive, .parents = true });
}

/* What git ignores is left out besides. */
static void ignored_known(struct cf_ignored *g, const char *fault) {
    struct backup *b = CONTAINER_OF(g, struct backup, ignored);
    size_t n = 0;
    while (b->exclude && b->exclude[n])
        n++;
    b->all = fault ? NULL : calloc(n + g->n + 1, sizeof *b->all);
    if (!b->all) {
        fail(b, fault ? fault : "out of memory for what git ignores");
        return;
    }
    if (n > 0)
        memcpy(b->all, b->exclude, n * sizeof *b->all);
    if (g->n > 0)
        memcpy(b->all + n, g->patterns, g->n * sizeof *b->all);
    create(b, b->all);
}

void cf_backup_create(struct http_exchange *x, yyjson_val *body) {
    struct backup *b = backup_new(x, body, false);
    if (!b || !compression_is_ours(x, body) || !take_excludes(x, body, &b->exclude))
        return;
    b->ignored.done = ignored_known;
    if (cf_flag(body, "gitignore", false))
        cf_ignored_begin(&b->ignored, channel_of(x), b->dir, cf_user(x));
    else
        create(b, b->exclude);
}

void cf_backup_restore(struct http_exchange *x, yyjson_val *body) {
    struct backup *b = backup_new(x, body, true);
    if (b)
        begin(b, &(struct file_req){ .op = FILE_READ, .path = b->archive },
              &(struct file_req){ .op = FILE_UNTAR,
                                  .path = b->dir,
                                  .user = cf_user(x),
                                  .parents = true,
                                  .replace_all = true,
                                  .keep_owner = true });
}
