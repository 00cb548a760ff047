#include "channel/cloudflare/frame.h"

#include <inttypes.h>
#include <string.h>

/* A word's path, quoted. */
static void put_path(struct text *t, const struct frame_shell *s, const char *name) {
    char path[512];
    struct text p = TEXT(path);
    text_add(&p, "%s/%s", s->dir, name);
    frame_quote(t, path);
    t->cut |= p.cut;
}

static void put_numbered(struct text *t, const struct frame_shell *s, const char *name,
                         uint64_t serial) {
    char numbered[64];
    struct text n = TEXT(numbered);
    text_add(&n, "%s.%" PRIu64, name, serial);
    put_path(t, s, numbered);
}

void frame_quote(struct text *t, const char *s) {
    text_put(t, "'", 1);
    for (const char *quote; (quote = strchr(s, '\'')); s = quote + 1) {
        text_put(t, s, (size_t)(quote - s));
        text_put(t, "'\\''", 4);
    }
    text_put(t, s, strlen(s));
    text_put(t, "'", 1);
}

static void put_source(struct text *t, const struct frame_shell *s, const char *name) {
    text_add(t, "\\command . ");
    put_path(t, s, name);
}

/* `status` is the word that expands to it. */
static void put_report(struct text *t, const struct frame_shell *s, uint64_t serial,
                       const char *status) {
    text_add(t, "\\command echo %" PRIu64 " \"%s\" >", serial, status);
    put_path(t, s, FRAME_CONTROL);
}

/* --- frames ----------------------------------------------------------------------------------- */

void frame_first(struct text *t, const struct frame_shell *s) {
    put_source(t, s, FRAME_FIRST);
    text_add(t, "\n");
}

/* Open for reading, too, so that nobody gets a SIGPIPE while there is no channel. */
static void put_command(struct text *t, const struct frame_shell *s, uint64_t serial) {
    text_add(t, "{ ");
    put_source(t, s, s->bash ? FRAME_BASH : FRAME_SH);
    text_add(t, "; } </dev/null 1<>");
    put_numbered(t, s, "out", serial);
    text_add(t, " 2<>");
    put_numbered(t, s, "err", serial);
}

static void put_failed(struct text *t, const char *cwd) {
    text_add(t, "\\printf '%%s%%s%%s\\n' \"Failed to change directory to '\" ");
    frame_quote(t, cwd);
    text_add(t, " \"'\"");
}

void frame_run(struct text *t, const struct frame_shell *s, uint64_t serial, bool apart,
               const char *cwd) {
    if (!apart) {
        put_command(t, s, serial);
        text_add(t, "\n");
        put_report(t, s, serial, "$?");
        text_add(t, "\n");
        return;
    }
    text_add(t, "if ");
    put_source(t, s, FRAME_BEFORE);
    text_add(t, "; then ");
    put_command(t, s, serial);
    text_add(t, "; __pn_r=$?; else { ");
    put_failed(t, cwd ? cwd : "");
    text_add(t, "; } >");
    put_numbered(t, s, "err", serial);
    text_add(t, "; __pn_r=1; fi\n");
    put_source(t, s, FRAME_AFTER);
    text_add(t, "\n");
    put_report(t, s, serial, "$__pn_r");
    text_add(t, "; \\unset __pn_r\n");
}

/* Without the mark of the shell's own job. */
void frame_dump(struct text *t, const struct frame_shell *s, uint64_t serial) {
    text_add(t, "( \\unset PINNACE_JOB; ");
    put_source(t, s, FRAME_DUMP);
    text_add(t, " ) </dev/null 2>/dev/null >|");
    put_numbered(t, s, "state", serial);
    text_add(t, "\n");
    put_report(t, s, serial, "$?");
    text_add(t, "\n");
}

/* --- files ------------------------------------------------------------------------------------ */

static void put_cd(struct text *t, const char *cwd) {
    text_add(t, "CDPATH= \\command cd -- ");
    frame_quote(t, cwd);
    text_add(t, " >/dev/null 2>&1");
}

void frame_put_first(struct text *t, const struct frame_shell *s, const char *cwd, bool saved) {
    if (saved) {
        put_source(t, s, FRAME_SAVED);
        text_add(t, " >/dev/null 2>&1\n");
    } else {
        put_cd(t, cwd);
        text_add(t, " || \\command cd >/dev/null 2>&1 || \\command cd /root 2>/dev/null || "
                    "\\command cd /\n");
    }
    text_add(t, "\\trap ");
    char save[1024];
    struct text p = TEXT(save);
    put_source(&p, s, FRAME_SAVE);
    frame_quote(t, save);
    text_add(t, " %d\n", FRAME_ABORT);
    t->cut |= p.cut;
}

/* A variable's name, of NAME=value; 0: none that a shell knows. */
static size_t name_len(const char *entry) {
    size_t n = strspn(entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return entry[n] == '=' && (entry[0] < '0' || entry[0] > '9') ? n : 0;
}

/* Where one of these is not set any more, say so. printf, for an echo may take "\\c" for its end.
 */
static void put_unset(struct text *t, const char *const *env) {
    for (; env && *env; env++) {
        int n = (int)name_len(*env);
        if (n > 0 && strncmp(*env, "PINNACE_JOB=", 12) != 0)
            text_add(t, "case ${%.*s+x} in x) ;; *) \\printf '\\\\unset %.*s\\n' ;; esac\n", n,
                     *env, n, *env);
    }
}

/* The last line's `set +o` sets what may make a shell exit; so it is the last. A bash also lists
 * variables that nobody can set: that those fail is of no account. No forks: those may be killed.
 */
void frame_put_dump(struct text *t, const struct frame_shell *s, const char *const *box,
                    const char *const *session) {
    static const char bash[] = "\\shopt -p || :\n"
                               "\\declare -p\n"
                               "\\declare -f\n"
                               "\\declare -F\n"
                               "\\alias -p\n"
                               "\\umask -p\n";
    static const char sh[] = "\\set\n"
                             "\\export -p\n"
                             "\\readonly -p\n"
                             "\\printf '\\\\umask '\n"
                             "\\umask\n";
    put_unset(t, box);
    put_unset(t, session);
    text_add(t, "%s", s->bash ? bash : sh);
    text_add(t, "\\printf '%%s\\n' 'CDPATH= \\command cd -- \"$PWD\"'\n"
                "\\set +o\n");
}

/* In the shell itself, which is spared by those who kill what it has started; and with its traps,
 * which no other shell is to have. */
void frame_put_save(struct text *t, const struct frame_shell *s) {
    text_add(t, "{ \\unset PINNACE_JOB; ");
    put_source(t, s, FRAME_DUMP);
    text_add(t, "; \\trap; } </dev/null 2>/dev/null >|");
    put_path(t, s, FRAME_SAVED);
    text_add(t, "\n\\kill -9 $$\n");
}

/* What is there is kept in variables for that long, and whether it was exported. */
static void put_keep(struct text *t, const struct frame_shell *s, int i, const char *k, int n) {
    text_add(t, "__pn_s%d=${%.*s+x} __pn_v%d=${%.*s-} __pn_e%d=", i, n, k, i, n, k, i);
    if (s->bash)
        text_add(t, "${%.*s+${%.*s@a}}\n", n, k, n, k);
    else
        text_add(t, "\ncase \"$(\\export -p)\" in *\"export %.*s=\"*) __pn_e%d=x ;; esac\n", n, k,
                 i);
}

static void put_back(struct text *t, int i, const char *k, int n) {
    text_add(t,
             "\\command unset %.*s\n"
             "if [ \"$__pn_s%d\" ]; then case $__pn_e%d in *x*) \\export %.*s ;; esac; "
             "%.*s=$__pn_v%d; fi\n"
             "\\unset __pn_s%d __pn_v%d __pn_e%d\n",
             n, k, i, i, n, k, n, k, i, i, i, i);
}

static void put_export(struct text *t, const char *entry, size_t n) {
    text_add(t, "\\command export %.*s=", (int)n, entry);
    frame_quote(t, entry + n + 1);
}

void frame_put_before(struct text *t, const struct frame_shell *s, const char *const *env,
                      const char *cwd) {
    for (int i = 0; env && env[i]; i++) {
        size_t n = name_len(env[i]);
        put_keep(t, s, i, env[i], (int)n);
        put_export(t, env[i], n);
        text_add(t, "\n");
    }
    if (!cwd) {
        text_add(t, ":\n");
        return;
    }
    text_add(t, "__pn_d=${PWD-} __pn_o=${OLDPWD-}\n");
    put_cd(t, cwd);
    text_add(t, "\n");
}

void frame_put_after(struct text *t, const struct frame_shell *s, const char *const *env,
                     const char *cwd) {
    (void)s;
    for (int i = 0; env && env[i]; i++)
        put_back(t, i, env[i], (int)name_len(env[i]));
    if (cwd)
        text_add(t, "CDPATH= \\command cd -- \"$__pn_d\" >/dev/null 2>&1\n"
                    "OLDPWD=$__pn_o\n"
                    "\\unset __pn_d __pn_o\n");
}

void frame_put_prefix(struct text *t, const char *state, const char *const *env, const char *cwd) {
    size_t before = t->len;
    if (state) {
        text_add(t, "\\command . ");
        frame_quote(t, state);
        text_add(t, " >/dev/null 2>&1; ");
    }
    for (; env && *env; env++) {
        put_export(t, *env, name_len(*env));
        text_add(t, "; ");
    }
    if (cwd) {
        put_cd(t, cwd);
        text_add(t, " || { ");
        put_failed(t, cwd);
        text_add(t, " >&2; \\exit 1; }");
    }
    if (t->len > before)
        text_add(t, "\n");
}

size_t frame_size(const char *const *env, const char *cwd) {
    size_t n = 4096 + (cwd ? 8 * strlen(cwd) : 0);
    for (; env && *env; env++)
        n += 512 + 4 * strlen(*env) + 8 * name_len(*env);
    return n;
}
