#include "cli/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

int terminal_raw(struct terminal *t, int fd) {
    struct termios now;
    if (!t->raw && tcgetattr(fd, &t->before) < 0)
        return -errno;
    now = t->before;
    cfmakeraw(&now);
    if (tcsetattr(fd, TCSANOW, &now) < 0)
        return -errno;
    t->fd = fd;
    t->raw = true;
    return 0;
}

/* TCSADRAIN: what the job has printed last is printed as it meant it. */
void terminal_restore(struct terminal *t) {
    if (t->raw)
        (void)tcsetattr(t->fd, TCSADRAIN, &t->before);
    t->raw = false;
}

bool terminal_size(uint16_t *rows, uint16_t *cols) {
    static const int fds[] = { 1, 0, 2 };
    struct winsize size;
    for (size_t i = 0; i < 3; i++)
        if (ioctl(fds[i], TIOCGWINSZ, &size) == 0) {
            *rows = size.ws_row;
            *cols = size.ws_col;
            return true;
        }
    return false;
}

/* One key: a character, or "ctrl-" and one of @ A-Z [ \ ] ^ _. -1: none. */
static int parse_key(const char *s, size_t n) {
    if (n == 1)
        return (unsigned char)*s;
    if (n != 6 || !has_prefix(s, "ctrl-"))
        return -1;
    int c = s[5] >= 'a' && s[5] <= 'z' ? s[5] - 'a' + 'A' : s[5];
    return c >= '@' && c <= '_' ? c - '@' : -1;
}

int detach_parse(struct detach_keys *k, const char *text, struct err *e) {
    *k = (struct detach_keys){ .n = 0 };
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, ",");
        int key = parse_key(s, n);
        if (key < 0 || k->n == MAX_DETACH_KEYS)
            return err_set(e, EINVAL, "'%.60s' is not a list of at most %d keys such as ctrl-p,q",
                           text, MAX_DETACH_KEYS);
        k->keys[k->n++] = (unsigned char)key;
        s += n + (s[n] == ',');
    }
    return 0;
}

size_t detach_filter(struct detach_keys *k, const char *in, size_t n, char *out, bool *hit) {
    size_t len = 0;
    *hit = false;
    for (size_t i = 0; i < n && !*hit; i++) {
        unsigned char c = (unsigned char)in[i];
        if (k->at > 0 && c != k->keys[k->at]) { /* it was not the sequence */
            memcpy(out + len, k->keys, k->at);
            len += k->at;
            k->at = 0;
        }
        if (k->n > 0 && c == k->keys[k->at])
            *hit = ++k->at == k->n;
        else
            out[len++] = (char)c;
    }
    return len;
}
