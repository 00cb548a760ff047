/* cp.c — `pinnace cp`: files and trees into the box and out of it, by docker's rules for where they
 * go:
 *
 *     SRC is        DST is missing         DST is a file       DST is a directory
 *     a file        is made of it          is replaced         gets it, under its name
 *     a directory   becomes its copy       an error            gets it, under its name
 *     a directory/. becomes its copy       an error            gets what is in it
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/tar.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "cli/local.h"
#include "cli/progress.h"
#include "cli/session.h"

enum {
    MAX_HOPS = 16, /* links that are followed to the end of a path; an error */
    STALL_S = 120, /* without a byte in either direction; an error */
};

enum kind { MISSING, A_FILE, A_DIR, A_LINK, A_STREAM };

/* One end of it. */
struct place {
    const char *path;
    bool in_box, is_stream; /* is_stream: "-" */
    enum kind kind;
    unsigned mode, uid, gid;
    int64_t mtime_ms;
    int64_t size;            /* of a file; -1: read it to know */
    char target[PATH_MAX];   /* of a link */
    char resolved[PATH_MAX]; /* where links have led to; else the path */
};

struct copy {
    const struct args *a;
    const char *user;
    struct place src, dst;
    bool archive;         /* -a */
    bool contents;        /* what is in src, not src */
    char final[PATH_MAX]; /* what is to be made, or the directory it goes into */
    struct progress progress;
};

/* --- paths. PURE ------------------------------------------------------------------------------ */

static bool ends_in(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* ".", "..", or a path that ends so, or in a slash: what it names is what is there. */
static bool is_plain(const char *s) {
    return *s && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 && !ends_in(s, "/") &&
           !ends_in(s, "/.") && !ends_in(s, "/..");
}

static const char *last_part(const char *s) {
    const char *slash = strrchr(s, '/');
    return slash ? slash + 1 : s;
}

/* dir/name, name without its slashes at the end. */
static int join(char out[PATH_MAX], const char *dir, const char *name, struct err *e) {
    const char *slash = *dir && !ends_in(dir, "/") ? "/" : "";
    int n = snprintf(out, PATH_MAX, "%s%s%s", dir, slash, name);
    while (n > 1 && n < PATH_MAX && out[n - 1] == '/')
        out[--n] = '\0';
    return n < PATH_MAX ? 0 : err_set(e, ENAMETOOLONG, "%.80s...: the path is too long", dir);
}

/* --- what is there ---------------------------------------------------------------------------- */

static void take_stat(struct place *p, const struct stat *st) {
    p->mode = st->st_mode & 07777;
    p->uid = st->st_uid;
    p->gid = st->st_gid;
    p->kind = S_ISDIR(st->st_mode) ? A_DIR : S_ISLNK(st->st_mode) ? A_LINK : A_FILE;
    /* Files of /proc tell none. */
    p->size = S_ISREG(st->st_mode) && st->st_size > 0 ? st->st_size : -1;
}

static int look_here(struct place *p, bool follow, struct err *e) {
    struct stat st;
    (void)snprintf(p->resolved, sizeof p->resolved, "%s", p->path);
    if ((follow ? stat(p->path, &st) : lstat(p->path, &st)) < 0) {
        p->kind = MISSING;
        return errno == ENOENT ? 0 : err_sys(e, errno, "%s", p->path);
    }
    take_stat(p, &st);
    ssize_t n = p->kind == A_LINK ? readlink(p->path, p->target, sizeof p->target - 1) : 0;
    p->target[n > 0 ? n : 0] = '\0';
    return 0;
}

static int ask_stat(const struct copy *c, struct place *p, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    target_path(&t, "/v1/stat", p->resolved, c->user);
    yyjson_doc *doc = client_call(c->a->host, target, NULL, e);
    yyjson_val *v = yyjson_doc_get_root(doc);
    p->kind = json_is(v, "type", "dir")       ? A_DIR
              : json_is(v, "type", "symlink") ? A_LINK
              : json_is(v, "type", "file")    ? A_FILE
                                              : A_STREAM;
    p->mode = (unsigned)json_int(v, "mode") & 07777;
    p->uid = (unsigned)json_int(v, "uid");
    p->gid = (unsigned)json_int(v, "gid");
    p->mtime_ms = json_int(v, "mtime_ms");
    p->size = json_int(v, "size");
    (void)snprintf(p->target, sizeof p->target, "%s", json_str(v, "target"));
    yyjson_doc_free(doc);
    return doc ? 0 : -e->code;
}

/* The box tells of a link only where it leads. */
static int look_there(const struct copy *c, struct place *p, bool follow, struct err *e) {
    size_t len = (size_t)snprintf(p->resolved, sizeof p->resolved, "%.*s", PATH_MAX - 1, p->path);
    while (len > 1 && (ends_in(p->resolved, "/") || ends_in(p->resolved, "/.")))
        p->resolved[--len] = '\0';
    for (int hops = 0; hops < MAX_HOPS; hops++) {
        char dir[PATH_MAX], next[PATH_MAX];
        int rc = ask_stat(c, p, e);
        if (rc == -ESRCH) {
            p->kind = MISSING;
            *e = (struct err){ 0 };
            return 0;
        }
        if (rc < 0 || p->kind != A_LINK || !follow)
            return rc;
        int n = (int)(last_part(p->resolved) - p->resolved);
        (void)snprintf(dir, sizeof dir, "%.*s", n, p->resolved);
        rc = join(next, p->target[0] == '/' ? "" : dir, p->target, e);
        if (rc < 0)
            return rc;
        memcpy(p->resolved, next, sizeof next);
    }
    return err_set(e, ELOOP, "%s: too many links", p->path);
}

static int look(const struct copy *c, struct place *p, bool follow, struct err *e) {
    return p->is_stream ? 0 : p->in_box ? look_there(c, p, follow, e) : look_here(p, follow, e);
}

/* --- where it goes. PURE ---------------------------------------------------------------------- */

/* c->final: the file to be made, or, for a directory, the one into which the contents of SRC go. */
static int decide(struct copy *c, struct err *e) {
    const struct place *src = &c->src, *dst = &c->dst;
    c->contents = !is_plain(src->path) && (ends_in(src->path, ".") && !ends_in(src->path, ".."));
    if (src->kind == MISSING)
        return err_set(e, ENOENT, "%s: there is no such file%s", src->path,
                       src->in_box ? " in the box" : "");
    if (src->kind == A_DIR && dst->kind != MISSING && dst->kind != A_DIR)
        return err_set(e, ENOTDIR, "%s is a directory, and %s is not", src->path, dst->path);
    if (src->kind != A_DIR && ends_in(src->path, "/"))
        return err_set(e, ENOTDIR, "%s is not a directory", src->path);
    if (src->kind != A_DIR && dst->kind != A_DIR && ends_in(dst->path, "/"))
        return err_set(e, ENOENT, "there is no directory %s", dst->path);
    if (dst->kind != A_DIR || c->contents)
        return join(c->final, dst->path, "", e);
    char name[PATH_MAX];
    int rc = join(name, src->path, "", e); /* without slashes at its end */
    if (rc == 0 && (!is_plain(name) || !*last_part(name)))
        return err_set(e, EINVAL, "%s has no name to be copied under", src->path);
    return rc < 0 ? rc : join(c->final, dst->path, last_part(name), e);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* The body of a request: what comes from a descriptor. */
struct upload {
    struct http_source source;
    struct copy *copy;
    struct local *local; /* whose content it is: its verdict comes at the end; or NULL */
};

static ssize_t upload_take(struct http_source *s, char *buf, size_t cap, struct err *e) {
    struct upload *u = (struct upload *)s;
    int fd = u->local ? u->local->data : u->source.fd;
    ssize_t n;
    do
        n = read(fd, buf, cap);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, errno, "read %s", u->copy->src.path);
    if (n == 0 && u->local)
        return local_end(u->local, true, e);
    progress_add(&u->copy->progress, (uint64_t)n);
    return n;
}

static int put(struct copy *c, const char *target, struct upload *u, struct err *e) {
    struct http_request r = { .method = "PUT",
                              .target = target,
                              .source = &u->source,
                              .fields = "Content-Type: application/octet-stream\r\n" };
    u->source.take = upload_take;
    u->copy = c;
    AUTO_CLIENT struct client *client = client_open(c->a->host, client_soon(), e);
    if (!client)
        return -e->code;
    client->http.deadline = INSTANT_NEVER;
    client->http.idle = span_s(STALL_S);
    int rc = client_ask(client, &r, e);
    return rc < 0 ? rc : client_check(client, e);
}

/* A GET whose body is wanted. NULL with `e`. */
static struct client *get(const struct copy *c, const char *target, struct err *e) {
    struct http_request r = { .method = "GET", .target = target };
    struct client *client = client_open(c->a->host, client_soon(), e);
    if (client) {
        client->http.deadline = INSTANT_NEVER;
        client->http.idle = span_s(STALL_S);
    }
    if (client && (client_ask(client, &r, e) < 0 || client_check(client, e) < 0))
        client_close(&client);
    return client;
}

static int pour(struct copy *c, struct client *from, int fd, struct err *e) {
    const char *piece;
    ssize_t n;
    while ((n = http_client_read(&from->http, &piece, e)) > 0) {
        int rc = session_print(fd, piece, (size_t)n);
        if (rc < 0)
            return err_sys(e, -rc, "write");
        progress_add(&c->progress, (uint64_t)n);
    }
    return (int)n;
}

/* Into a worker of ours. What it says of a failure counts for more than a closed pipe. */
static int pour_local(struct copy *c, struct client *from, const struct file_req *r,
                      struct err *e) {
    struct local l;
    struct err why = { 0 };
    (void)signal(SIGPIPE, SIG_IGN); /* a worker that has failed takes no more, and says why */
    int rc = local_begin(&l, r, e);
    if (rc < 0) {
        (void)local_end(&l, false, &why);
        return rc;
    }
    rc = pour(c, from, l.data, e);
    bool refused = rc == -EPIPE;
    int verdict = local_end(&l, rc == 0 || refused, &why);
    if ((rc == 0 || refused) && verdict < 0) {
        *e = why;
        return verdict;
    }
    return rc;
}

/* --- into the box ----------------------------------------------------------------------------- */

/* POST {"path":PATH,REST}. */
static int tell_there(const struct copy *c, const char *route, const char *rest, struct err *e) {
    char json[7 * PATH_MAX];
    struct text t = TEXT(json);
    text_add(&t, "{\"path\":");
    text_json(&t, c->final, strlen(c->final));
    if (c->user) {
        text_add(&t, ",\"user\":");
        text_json(&t, c->user, strlen(c->user));
    }
    text_add(&t, ",%s}", rest);
    yyjson_doc *doc = client_call(c->a->host, route, json, e);
    yyjson_doc_free(doc);
    return doc ? 0 : -e->code;
}

static int make_there(const struct copy *c, unsigned mode, struct err *e) {
    char rest[32];
    (void)snprintf(rest, sizeof rest, "\"mode\":\"%04o\"", mode);
    return tell_there(c, "/v1/mkdir", rest, e);
}

/* With -a what was made is given the owner and mode of SRC, where that is permitted. */
static int own_there(const struct copy *c, struct err *e) {
    char rest[96];
    (void)snprintf(rest, sizeof rest, "\"mode\":\"%04o\",\"owner\":\"%u\",\"group\":\"%u\"",
                   c->src.mode, c->src.uid, c->src.gid);
    int rc = c->archive ? tell_there(c, "/v1/chmod", rest, e) : 0;
    return rc == -EACCES ? 0 : rc;
}

static void own_here(const struct copy *c) {
    const struct place *p = &c->src;
    struct timespec at = { .tv_sec = p->mtime_ms / 1000,
                           .tv_nsec = (p->mtime_ms % 1000) * 1000000 };
    if (!c->archive)
        return;
    (void)!lchown(c->final, p->uid, p->gid); /* root only */
    if (p->kind != A_LINK)
        (void)chmod(c->final, p->mode);
    (void)utimensat(AT_FDCWD, c->final, (struct timespec[]){ at, at }, AT_SYMLINK_NOFOLLOW);
}

static int tar_in(struct copy *c, struct upload *u, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    target_path(&t, "/v1/tar", c->final, c->user);
    if (c->archive)
        target_add(&t, "owners", "1");
    u->source.length = -1;
    return put(c, target, u, e);
}

static int dir_in(struct copy *c, struct err *e) {
    struct local l;
    struct file_req r = { .op = FILE_TAR, .path = c->src.path, .contents = true };
    int rc =
        c->dst.kind == MISSING || !c->contents ? make_there(c, (c->src.mode & 0777) | 0700, e) : 0;
    if (rc == -EEXIST && !c->contents)
        rc = 0; /* it is merged, as docker does; what is no directory is told by the box */
    if (rc == 0)
        rc = local_begin(&l, &r, e);
    if (rc < 0)
        return rc;
    struct upload u = { .source.fd = l.data, .local = &l };
    rc = tar_in(c, &u, e);
    (void)local_end(&l, false, NULL);
    return rc < 0 ? rc : own_there(c, e);
}

static int file_in(struct copy *c, struct err *e) {
    char target[TARGET_TEXT], mode[8];
    struct text t = TEXT(target);
    AUTO_FD int fd = open(c->src.path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct upload u = { .source.fd = fd, .source.length = c->src.size };
    if (fd < 0)
        return err_sys(e, errno, "open %s", c->src.path);
    (void)snprintf(mode, sizeof mode, "%04o", c->src.mode & 0777);
    target_path(&t, "/v1/files", c->final, c->user);
    target_add(&t, "mode", mode);
    int rc = put(c, target, &u, e);
    return rc < 0 ? rc : own_there(c, e);
}

/* An archive of one entry: there is no other way to make a link. */
struct one_link {
    struct http_source source;
    char bytes[TAR_HEAD_MAX + 2 * TAR_BLOCK];
    size_t at, n;
};

static ssize_t take_link(struct http_source *s, char *buf, size_t cap, struct err *e) {
    (void)e;
    struct one_link *one = (struct one_link *)s;
    size_t n = one->n - one->at < cap ? one->n - one->at : cap;
    memcpy(buf, one->bytes + one->at, n);
    one->at += n;
    return (ssize_t)n;
}

static int link_in(struct copy *c, struct err *e) {
    char target[TARGET_TEXT], dir[PATH_MAX];
    struct text t = TEXT(target);
    const char *name = last_part(c->final);
    AUTO_FREE struct tar_entry *entry = calloc(1, sizeof *entry);
    AUTO_FREE struct one_link *one = calloc(1, sizeof *one);
    if (!entry || !one)
        return err_set(e, ENOMEM, "out of memory");
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(name - c->final), c->final);
    (void)snprintf(entry->path, sizeof entry->path, "%s", name);
    memcpy(entry->target, c->src.target, sizeof entry->target);
    entry->type = '2';
    entry->mode = 0777;
    int n = tar_head(entry, one->bytes);
    if (n < 0)
        return err_sys(e, -n, "%s", c->src.path);
    one->n = (size_t)n + 2 * TAR_BLOCK;
    one->source = (struct http_source){ .take = take_link, .fd = -1, .length = (int64_t)one->n };
    target_path(&t, "/v1/tar", *dir ? dir : ".", c->user);
    AUTO_CLIENT struct client *client = client_open(c->a->host, client_soon(), e);
    struct http_request r = { .method = "PUT", .target = target, .source = &one->source };
    int rc = client ? client_ask(client, &r, e) : -e->code;
    return rc < 0 ? rc : client_check(client, e);
}

static int copy_in(struct copy *c, struct err *e) {
    if (c->src.is_stream) {
        struct upload u = { .source.fd = 0 };
        if (c->dst.kind != A_DIR)
            return err_set(e, ENOTDIR, "there is no directory %s for an archive to go into",
                           c->dst.path);
        (void)snprintf(c->final, sizeof c->final, "%s", c->dst.path);
        return tar_in(c, &u, e);
    }
    int rc = decide(c, e);
    return rc < 0                  ? rc
           : c->src.kind == A_DIR  ? dir_in(c, e)
           : c->src.kind == A_LINK ? link_in(c, e)
                                   : file_in(c, e);
}

/* --- out of the box --------------------------------------------------------------------------- */

static int tar_out(struct copy *c, const char *path, bool contents, const struct file_req *r,
                   struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    target_path(&t, "/v1/tar", path, c->user);
    if (contents)
        target_add(&t, "contents", "1");
    AUTO_CLIENT struct client *client = get(c, target, e);
    if (!client)
        return -e->code;
    return r ? pour_local(c, client, r, e) : pour(c, client, 1, e);
}

static int dir_out(struct copy *c, struct err *e) {
    struct file_req r = { .op = FILE_UNTAR, .path = c->final, .keep_owner = c->archive };
    if (mkdir(c->final, (c->src.mode & 0777) | 0700) < 0 && errno != EEXIST)
        return err_sys(e, errno, "make %s", c->final);
    return tar_out(c, c->src.resolved, true, &r, e);
}

static int file_out(struct copy *c, struct err *e) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    /* Not what would make somebody else's program ours: bits above 0777 */
    struct file_req r = {
        .op = FILE_WRITE, .path = c->final, .mode = c->src.mode & 0777, .has_mode = true
    };
    target_path(&t, "/v1/files", c->src.resolved, c->user);
    AUTO_CLIENT struct client *client = get(c, target, e);
    if (!client)
        return -e->code;
    if (client->http.body.framing == HTTP_LENGTH)
        c->progress.total = (int64_t)client->http.head.length;
    return pour_local(c, client, &r, e);
}

static int link_out(struct copy *c, struct err *e) {
    struct stat st;
    if (lstat(c->final, &st) == 0 && !S_ISDIR(st.st_mode))
        (void)unlink(c->final);
    return symlink(c->src.target, c->final) < 0 ? err_sys(e, errno, "make %s", c->final) : 0;
}

static int copy_out(struct copy *c, struct err *e) {
    if (c->dst.is_stream && isatty(1))
        return err_set(e, EINVAL, "an archive is not for a terminal: send it to a file or program");
    if (c->dst.is_stream && c->src.kind == MISSING)
        return err_set(e, ENOENT, "%s: there is no such file in the box", c->src.path);
    if (c->dst.is_stream)
        return tar_out(c, c->src.resolved, ends_in(c->src.path, "/."), NULL, e);
    int rc = decide(c, e);
    if (rc == 0 && c->src.kind == A_STREAM)
        rc = err_set(e, EINVAL, "%s is no file, directory or link", c->src.path);
    return rc < 0                  ? rc
           : c->src.kind == A_DIR  ? dir_out(c, e)
           : c->src.kind == A_LINK ? link_out(c, e)
                                   : file_out(c, e);
}

/* --- the verb --------------------------------------------------------------------------------- */

static struct place place_of(const char *word) {
    return (struct place){ .path = word[0] == ':' ? (word[1] ? word + 1 : ".") : word,
                           .in_box = word[0] == ':',
                           .is_stream = strcmp(word, "-") == 0 };
}

int verb_cp(const struct args *a) {
    struct err e = { 0 };
    AUTO_FREE struct copy *c = calloc(1, sizeof *c);
    if (!c)
        return CLI_NO;
    *c = (struct copy){ .a = a,
                        .user = args_value(a, "user"),
                        .archive = args_has(a, "archive"),
                        .src = place_of(a->words[0]),
                        .dst = place_of(a->words[1]) };
    if (c->src.in_box == c->dst.in_box)
        return cli_usage(a, "one of SRC and DST must be in the box: :PATH");
    bool follow = args_has(a, "follow-link") || !is_plain(c->src.path);
    int rc = look(c, &c->src, follow, &e);
    if (rc == 0)
        rc = look(c, &c->dst, true, &e);
    progress_begin(&c->progress, a->words[0], c->src.kind == A_FILE ? c->src.size : -1,
                   args_has(a, "quiet"));
    if (rc == 0)
        rc = c->src.in_box ? copy_out(c, &e) : copy_in(c, &e);
    if (rc == 0 && c->src.in_box && !c->dst.is_stream)
        own_here(c);
    progress_end(&c->progress, rc == 0);
    return rc < 0 ? cli_fail(&e) : CLI_OK;
}
