#include "channel/cloudflare/launch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/run.h"
#include "channel/shell.h"

enum {
    WORD_BYTES = 100 << 10, /* of a command that is a word of execve(2), which takes 128 KiB */
    NOTE_BYTES = 64 << 10,  /* of a command, to be shown; a longer one is cut */
    KEEP_BYTES = 8 << 20,   /* of a process's output */
    SCRIPT_S = 60,          /* until the file of a long command is removed */
    TERM_TO_KILL_MS = 5000, /* of what has timed out */
};

/* --- what is asked for ------------------------------------------------------------------------ */

/* proc_<ms>_<6 of base 36> */
static void made_id(char out[JOB_TEXT]) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char r[6] = { 0 };
    (void)getrandom(r, sizeof r, 0);
    struct text t = { .buf = out, .cap = JOB_TEXT };
    text_add(&t, "proc_%lld_", (long long)cf_unix_ms());
    for (size_t i = 0; i < sizeof r; i++)
        text_put(&t, &digits[r[i] % 36], 1);
}

static bool take_id(struct cf_launch *l, struct http_exchange *x, yyjson_val *body) {
    struct slice id = cf_bytes(body, "processId");
    if (!id.n) {
        made_id(l->id);
        return true;
    }
    if (id.n >= sizeof l->id || memchr(id.s, '\0', id.n) || memchr(id.s, '/', id.n)) {
        cf_fail(x, CF_VALIDATION_FAILED, NULL,
                "processId: at most %zu bytes are needed, without a slash or NUL",
                sizeof l->id - 1);
        return false;
    }
    memcpy(l->id, id.s, id.n);
    l->id[id.n] = '\0';
    return true;
}

bool cf_take_around(struct http_exchange *x, yyjson_val *body, const char ***env, char **cwd) {
    yyjson_val *map = yyjson_obj_get(body, "env");
    const char *dir = cf_text(body, "cwd");
    *env = NULL;
    *cwd = NULL;
    if (!cf_text(body, "command")) {
        cf_fail(x, CF_COMMAND_EXECUTION_ERROR, NULL, "command: a text is needed");
        return false;
    }
    if (yyjson_obj_size(map) > 0 && !(*env = cf_env(x, map, NULL)))
        return false;
    if (!dir || !*dir || (*cwd = strdup(dir)))
        return true;
    mem_release(env);
    cf_no_memory(x, "a command");
    return false;
}

bool cf_launch_take(struct cf_launch *l, struct http_exchange *x, yyjson_val *body) {
    l->x = x;
    l->channel = channel_of(x);
    l->user = cf_user(x);
    return take_id(l, x, body) && cf_take_around(x, body, &l->env, &l->cwd);
}

void cf_launch_release(struct cf_launch *l) {
    if (l->run)
        cf_run_leave(l->run);
    l->run = NULL;
    cf_wait_stop(&l->wait);
    mem_release(&l->env);
    mem_release(&l->cwd);
}

/* --- the shell's words ------------------------------------------------------------------------ */

struct script {
    struct timer gone;
    char path[CF_DIR_TEXT + 32];
};

static void script_gone(struct timer *t) {
    struct script *s = CONTAINER_OF(t, struct script, gone);
    (void)unlink(s->path);
    free(s);
}

/* What is too long for a word: a file, which the shell reads at once. */
static int write_script(struct cf_launch *l, struct slice before, char *path, size_t cap,
                        struct err *e) {
    struct cf_state *all = &l->channel->cloudflare;
    uid_t uid = cf_uid(l->user);
    if (all->scripts < 0)
        all->scripts = cf_dir_make(l->channel, geteuid(), all->scripts_path, e);
    if (all->scripts < 0)
        return all->scripts;
    (void)fchmod(all->scripts, 0711);
    struct script *s = calloc(1, sizeof *s);
    if (!s)
        return err_sys(e, ENOMEM, "write a command");
    char name[32];
    (void)snprintf(name, sizeof name, "script.%" PRIu64, ++all->serial);
    (void)snprintf(s->path, sizeof s->path, "%s/%s", all->scripts_path, name);
    (void)snprintf(path, cap, "%s", s->path);
    s->gone.fire = script_gone;
    timer_arm(&l->channel->loop, &s->gone, span_s(SCRIPT_S));
    return cf_dir_write_command(all->scripts, uid, name, before, l->command, e);
}

/* What follows -c; owned by the caller; NULL: *e says why. */
static char *words_for(struct cf_launch *l, const char *state, struct err *e) {
    size_t cap = frame_size(l->env, l->cwd) + 4 * strlen(state) + WORD_BYTES;
    char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        (void)err_sys(e, ENOMEM, "start a process");
        return NULL;
    }
    *buf = '\0';
    frame_put_prefix(&t, *state ? state : NULL, (const char *const *)l->env, l->cwd);
    if (t.len + l->command->size < WORD_BYTES) {
        t.len += cf_output_read(l->command, 0, buf + t.len, WORD_BYTES);
        buf[t.len] = '\0';
        return buf;
    }
    char path[CF_DIR_TEXT + 32];
    if (write_script(l, (struct slice){ t.buf, t.len }, path, sizeof path, e) < 0) {
        free(buf);
        return NULL;
    }
    t.len = 0;
    text_add(&t, ". ");
    frame_quote(&t, path);
    return buf;
}

/* --- go --------------------------------------------------------------------------------------- */

static char *note_of(const struct cf_launch *l) {
    size_t n = l->command->size < NOTE_BYTES ? (size_t)l->command->size : NOTE_BYTES;
    char *note = malloc(n + 1);
    if (note)
        note[cf_output_read(l->command, 0, note, n)] = '\0';
    return note;
}

static struct job *start(struct cf_launch *l, const char *state, struct err *e) {
    const char *bash = shell_bash();
    char key[JOB_TEXT];
    enum job_reason why;
    AUTO_FREE char *words = words_for(l, state, e);
    if (!words)
        return NULL;
    AUTO_FREE char *note = note_of(l); /* without it, it is the words */
    cf_process_key(l->session ? l->session->id : CF_NO_SESSION, key);
    if (l->alone)
        (void)strcpy(key, CF_EXEC_KEY);
    const char *argv[] = { bash ? bash : "/bin/sh", "-c", words, bash ? "bash" : "sh", NULL };
    char dir[PATH_MAX];
    bool known = l->session ? cf_session_cwd(l->session, dir)
                            : cf_session_path(l->channel, CF_NO_SESSION, ".", dir);
    struct job_spec spec = { .argv = argv,
                             .env = l->session ? l->session->env : cf_least_env,
                             .cwd = known ? dir : NULL,
                             .user = l->user,
                             .tag = l->id,
                             .key = key,
                             .timeout = l->limit_ms > 0 ? span_ms(l->limit_ms) : SPAN_NEVER,
                             .kill_after = span_ms(TERM_TO_KILL_MS),
                             .note = note,
                             .keep = KEEP_BYTES };
    return job_start(&l->channel->jobs, &spec, &why, e);
}

static void go(struct cf_launch *l, const char *state) {
    struct err e = { 0 };
    struct job *j = start(l, state, &e);
    l->session = NULL;
    l->started(l, j, j ? NULL : *e.text ? e.text : "out of memory");
}

static void state_known(struct cf_run *r) {
    struct cf_launch *l = r->arg;
    char state[PATH_MAX];
    l->run = NULL;
    cf_run_state(r, state);
    if (r->how == CF_RUN_DONE)
        go(l, state);
    else if (r->how == CF_RUN_ENDED) /* so there is no state any more */
        go(l, "");
    else {
        l->session = NULL;
        l->deleted = r->how == CF_RUN_DELETED;
        l->started(l, NULL, l->deleted ? "the session was deleted" : r->why);
    }
}

static void box_is_ready(struct cf_wait *w) { go(CONTAINER_OF(w, struct cf_launch, wait), ""); }

void cf_launch(struct cf_launch *l, struct cf_session *session) {
    l->wait.ready = box_is_ready;
    l->session = session;
    (void)snprintf(l->session_id, sizeof l->session_id, "%s", session ? session->id : "");
    if (!session) {
        if (!cf_wait_begin(&l->wait, l->x, HOLD_SESSIONS))
            go(l, "");
        return;
    }
    l->run = cf_run_new(l->session);
    if (!l->run) {
        l->started(l, NULL, "out of memory");
        return;
    }
    l->run->is_question = true;
    l->run->timeout = SPAN_NEVER;
    l->run->done = state_known;
    l->run->arg = l;
    cf_run_submit(l->run);
}
