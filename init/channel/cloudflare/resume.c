/* resume.c — sessions outlive the channel, as their shells do: what is to be known of one stands in
 * a file of its directory, and the next channel takes it up from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "channel/cloudflare/pipe.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/run.h"

#define RECORD "session"

enum { RECORD_BYTES = 1 << 20 }; /* of a session's record; a larger session is not taken up */

/* --- writing ---------------------------------------------------------------------------------- */

static void put_env(struct text *t, const char *const *env) {
    text_add(t, ",\"env\":[");
    for (; *env; env++) {
        cf_comma(t);
        text_json(t, *env, strlen(*env));
    }
    text_add(t, "]");
}

int cf_session_record(const struct cf_session *s, struct err *e) {
    AUTO_FREE char *buf = malloc(RECORD_BYTES);
    struct text t = { .buf = buf, .cap = RECORD_BYTES };
    if (!buf)
        return err_sys(e, ENOMEM, "record a session");
    text_add(&t, "{");
    cf_put(&t, "id", s->id);
    cf_put(&t, "cwd", s->cwd);
    cf_put_number(&t, "timeoutMs", span_is_never(s->timeout) ? 0 : span_to_ms(s->timeout));
    cf_put(&t, "user", s->user);
    put_env(&t, s->env);
    text_add(&t, "}");
    /* Never the user's: nobody but us is to say what a session is. */
    return t.cut ? 0 : cf_dir_write(s->shell.dir_fd, geteuid(), RECORD, t.buf, t.len, e);
}

/* --- reading ---------------------------------------------------------------------------------- */

static yyjson_doc *read_record(int dir) {
    AUTO_FREE char *text = malloc(RECORD_BYTES);
    AUTO_FD int fd = openat(dir, RECORD, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (!text || fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return NULL;
    ssize_t n = read(fd, text, RECORD_BYTES);
    return n > 0 ? yyjson_read(text, (size_t)n, 0) : NULL;
}

static const char **take_env(yyjson_val *list) {
    size_t i, n, bytes = 0, at = 0;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v) bytes += yyjson_get_len(v) + 1;
    const char **env = malloc((yyjson_arr_size(list) + 1) * sizeof *env + bytes);
    char *text = env ? (char *)(env + yyjson_arr_size(list) + 1) : NULL;
    yyjson_arr_foreach(list, i, n, v) {
        if (!env || !yyjson_is_str(v))
            continue;
        env[at++] = text;
        text = stpcpy(text, yyjson_get_str(v)) + 1;
    }
    if (env)
        env[at] = NULL;
    return env;
}

/* [channel] user of the channel that it came by: one of the configuration, which lives on. */
static const char *take_user(struct channel *ch, const char *user) {
    for (size_t i = 0; user && i < ch->role->nchannels; i++) {
        const char *of = ch->role->channels[i]->user;
        if (of && strcmp(of, user) == 0)
            return of;
    }
    return NULL;
}

static struct cf_session *take_session(struct channel *ch, yyjson_val *record) {
    const char *id = cf_text(record, "id"), *cwd = cf_text(record, "cwd");
    int64_t ms = cf_number(record, "timeoutMs", 0, CF_MAX_TIMEOUT_MS, 0);
    if (!id || !cwd || strlen(id) >= CF_SESSION_TEXT || cf_session_find(ch, id))
        return NULL;
    struct cf_session_args a = { .id = id,
                                 .cwd = cwd,
                                 .env = take_env(yyjson_obj_get(record, "env")),
                                 .timeout = ms > 0 ? span_ms(ms) : SPAN_NEVER,
                                 .user = take_user(ch, cf_text(record, "user")) };
    return a.env ? cf_session_new(ch, &a) : NULL;
}

/* --- taking up -------------------------------------------------------------------------------- */

static struct job *shell_of(struct channel *ch, const char *name) {
    for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (strcmp(j->key, CF_SHELL_KEY) == 0 && strcmp(j->tag, name) == 0 &&
            j->state == JOB_RUNNING && !j->reaped && j->stdin_open)
            return j;
    }
    return NULL;
}

/* A command that has been running since before the last channel's end prints to nowhere now. */
static void drain_pipes(struct cf_session *s) {
    int again = openat(s->shell.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d) {
        fd_close(&again);
        return;
    }
    for (struct dirent *entry; (entry = readdir(d));)
        if (has_prefix(entry->d_name, "out.") || has_prefix(entry->d_name, "err."))
            cf_pipe_resume(s->channel, s->shell.dir_fd, entry->d_name);
    (void)closedir(d);
}

static bool take_up(struct channel *ch, int dir, const char path[CF_DIR_TEXT], const char *name) {
    struct job *j = shell_of(ch, name);
    yyjson_doc *doc = j ? read_record(dir) : NULL;
    struct cf_session *s = doc ? take_session(ch, yyjson_doc_get_root(doc)) : NULL;
    yyjson_doc_free(doc);
    if (!s)
        return false;
    s->shell.dir_fd = dir; /* its from here on, whatever comes of it */
    (void)strcpy(s->shell.dir, path);
    drain_pipes(s);
    (void)cf_shell_resume(s, j);
    return true;
}

/* One that cannot be taken up ends, with what it has started. */
static void end_others(struct channel *ch) {
    for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (strcmp(j->key, CF_SHELL_KEY) == 0 && j->refs == 0)
            job_abandon(j);
    }
}

void cf_state_resume(struct channel *ch) {
    char folder[CF_DIR_TEXT], path[CF_DIR_TEXT];
    DIR *d = cf_dir_folder(ch, folder) ? opendir(folder) : NULL;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        struct text t = TEXT(path);
        text_add(&t, "%s/%s", folder, entry->d_name);
        int dir = t.cut ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir >= 0 && !take_up(ch, dir, path, entry->d_name))
            cf_dir_remove(&dir, path);
    }
    if (d)
        (void)closedir(d);
    end_others(ch);
}
