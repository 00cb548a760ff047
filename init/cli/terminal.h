/* terminal.h — the user's terminal: raw while a job's terminal is behind it, and as it was after.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "base/err.h"

struct terminal {
    int fd; /* borrowed */
    bool raw;
    struct termios before;
};

/* Every byte goes through as it is typed (cfmakeraw(3)). 0 or -errno; again after a stop. */
int terminal_raw(struct terminal *t, int fd);
void terminal_restore(struct terminal *t);

/* Of the terminal that stdout, stdin or stderr is; false when none is. */
bool terminal_size(uint16_t *rows, uint16_t *cols);

/* --- keys that leave a job (docker's --detach-keys). PURE. ------------------------------------ */

enum { MAX_DETACH_KEYS = 8 }; /* keys; an error */

struct detach_keys {
    unsigned char keys[MAX_DETACH_KEYS];
    size_t n, at; /* at: of them have been typed */
};

/* "ctrl-p,ctrl-q", "a", "ctrl-[,x"; "" for none. -EINVAL. */
int detach_parse(struct detach_keys *k, const char *text, struct err *e);

/* Pass `n` typed bytes on to out[n + MAX_DETACH_KEYS]; those that may begin the sequence wait for
 * what follows. How many go out; *hit: the sequence is complete, the rest does not count. */
size_t detach_filter(struct detach_keys *k, const char *in, size_t n, char *out, bool *hit);

#endif
