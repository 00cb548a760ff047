/* frame.h — what a session's shell is made to read: frames on its stdin, which are short, and the
 * files that they name. PURE.
 *
 * A command is a file of its own that the shell reads with `.`: whatever is wrong with it, unpaired
 * quotes too, ends with that file, and a `return` in it is one. `command` keeps a POSIX shell from
 * exiting for the error and a function from being taken, the backslash an alias. Nothing of a
 * command's own, but for its end by `exit`, `exec` or `set -e`, can keep the shell from reporting
 * its status: that goes to a FIFO that is named anew each time.
 */
#ifndef CHANNEL_CLOUDFLARE_FRAME_H
#define CHANNEL_CLOUDFLARE_FRAME_H

#include "base/str.h"

enum {
    FRAME_TEXT = 48 << 10, /* bytes of a frame: less than a pipe has room for */
    FRAME_ABORT = 50,      /* the signal, one of the real-time ones, to give a command up */
};

/* Files in the session's directory. */
#define FRAME_BASH    "bash"    /* the command: what its messages begin with */
#define FRAME_SH      "sh"      /* the same, where there is no bash */
#define FRAME_FIRST   "first"   /* what the shell begins with */
#define FRAME_DUMP    "dump"    /* prints its state */
#define FRAME_SAVE    "save"    /* on FRAME_ABORT */
#define FRAME_SAVED   "saved"   /* the state then */
#define FRAME_BEFORE  "before"  /* variables and directory of one command */
#define FRAME_AFTER   "after"   /* and back */
#define FRAME_CONTROL "control" /* the FIFO: lines "SERIAL STATUS" */
#define FRAME_LIMIT   "limit"   /* the time of the command that runs; not the shell's to read */

struct frame_shell {
    const char *dir; /* absolute */
    bool bash;
};

/* 'it'\''s' */
void frame_quote(struct text *t, const char *s);

/* --- frames ----------------------------------------------------------------------------------- */

void frame_first(struct text *t, const struct frame_shell *s);
/* Run the command with its output in out.SERIAL and err.SERIAL. `apart`: between FRAME_BEFORE and
 * FRAME_AFTER; where that fails, `cwd` is what cannot be entered. */
void frame_run(struct text *t, const struct frame_shell *s, uint64_t serial, bool apart,
               const char *cwd);
/* Print its state into state.SERIAL. */
void frame_dump(struct text *t, const struct frame_shell *s, uint64_t serial);

/* --- files ------------------------------------------------------------------------------------ */

/* Where it begins: as `saved` says, or in `cwd`, or at home. */
void frame_put_first(struct text *t, const struct frame_shell *s, const char *cwd, bool saved);
/* `box` and `session` have what variables a shell begins with: NAME=value, NULL-terminated. */
void frame_put_dump(struct text *t, const struct frame_shell *s, const char *const *box,
                    const char *const *session);
void frame_put_save(struct text *t, const struct frame_shell *s);
void frame_put_before(struct text *t, const struct frame_shell *s, const char *const *env,
                      const char *cwd);
void frame_put_after(struct text *t, const struct frame_shell *s, const char *const *env,
                     const char *cwd);

/* Of a shell of its own for one command: one line to stand before it, with its newline; "" when
 * there is nothing to say. `state` is a file that was printed; each may be NULL. */
void frame_put_prefix(struct text *t, const char *state, const char *const *env, const char *cwd);

/* Bytes that either of the last three needs at most. */
size_t frame_size(const char *const *env, const char *cwd);

#endif
