#include "engine/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/file.h"

struct record_path {
    char text[MAX_ENGINE_PATH + 32];
};

static struct record_path record_path(const struct json_file *f) {
    struct record_path p;
    (void)snprintf(p.text, sizeof p.text, "%s.before-pinnace", f->path);
    return p;
}

struct json_text json_file_text(const struct json_file *f) {
    return (struct json_text){ f->text ? f->text : "", f->len };
}

struct json_text json_file_base(const struct json_file *f) {
    return f->ours ? f->record.original : json_file_text(f);
}

static bool same(struct json_text a, struct json_text b) {
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static void read_record(struct json_file *f) {
    size_t len = 0;
    if (file_read(record_path(f).text, MAX_DAEMON_JSON + RECORD_HEAD, &f->record_text, &len, NULL) <
        0)
        return;
    struct json_text text = { f->record_text, len };
    if (!record_parse(text, &f->record) || !f->text)
        return;
    f->ours = record_is_ours(&f->record, json_file_text(f));
    f->edited = !f->ours && !same(json_file_text(f), f->record.original);
}

void json_file_read(struct json_file *f, const char *path) {
    memset(f, 0, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    int rc = file_read(path, MAX_DAEMON_JSON, &f->text, &f->len, NULL);
    f->error = rc < 0 && rc != -ENOENT && rc != -ENOTDIR ? -rc : 0;
    read_record(f);
}

void json_file_free(struct json_file *f) {
    free(f->text);
    free(f->record_text);
    memset(f, 0, sizeof *f);
}

void json_file_disown(struct json_file *f) { f->ours = false; }

/* file_replace keeps the mode of what it replaces, so the file is made for it first. Empty, it
 * is no record, which is as good as none. */
static int make_private(const char *path, struct err *e) {
    int rc = file_make_parents(path);
    if (rc < 0)
        return err_sys(e, -rc, "make the directory of %s", path);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    return fd < 0 ? err_sys(e, errno, "make %s", path) : 0;
}

static int write_record(const struct json_file *f, struct json_text next, struct err *e) {
    struct json_record r = { .existed = f->ours ? f->record.existed : f->text != NULL,
                             .original = json_file_base(f) };
    r.wrote[1] = record_hash(next);
    r.wrote[0] = f->ours ? record_hash(json_file_text(f)) : r.wrote[1];
    struct record_path path = record_path(f);
    AUTO_FREE char *text = malloc(RECORD_HEAD + r.original.len);
    if (!text)
        return err_set(e, ENOMEM, "%s: no memory to write it", path.text);
    size_t n = record_head(text, &r);
    memcpy(text + n, r.original.at, r.original.len);
    int rc = make_private(path.text, e);
    return rc < 0 ? rc : file_replace(path.text, text, n + r.original.len, e);
}

int json_file_write(struct json_file *f, struct json_text text, struct err *e) {
    if (f->text && same(json_file_text(f), text))
        return 0;
    int rc = write_record(f, text, e);
    if (rc == 0)
        rc = file_replace(f->path, text.at, text.len, e);
    return rc < 0 ? rc : 1;
}

int json_file_restore(struct json_file *f, struct err *e) {
    struct json_text was = f->record.original;
    int rc = 0;
    if (!f->ours)
        return 0;
    if (f->record.existed)
        rc = file_replace(f->path, was.at, was.len, e);
    else if (unlink(f->path) < 0)
        rc = err_sys(e, errno, "remove %s", f->path);
    if (rc == 0)
        (void)unlink(record_path(f).text); /* one that stays is not believed any more */
    return rc;
}
