#include "logs/console.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

enum { PATIENCE_S = 5 };

static void console_stuck(struct console *c) {
    if (c->stuck)
        return;
    c->stuck = true;
    (void)loop_watch(c->loop, &c->out);
    timer_arm(c->loop, &c->patience, span_s(PATIENCE_S));
}

/* How many bytes went out; 0 when there is no room. Errors other than that (the console is
 * gone) count as all of it: nobody is left to read. */
static size_t console_write(struct console *c, const char *bytes, size_t n) {
    ssize_t done = log_write(bytes, n);
    if (done < 0 && errno == EAGAIN) {
        console_stuck(c);
        return 0;
    }
    return done < 0 ? n : (size_t)done;
}

static bool write_rest(struct console *c) {
    size_t done = console_write(c, c->rest, c->rest_len);
    c->rest_len -= done;
    memmove(c->rest, c->rest + done, c->rest_len);
    return c->rest_len == 0;
}

static void out_ready(struct source *s, uint32_t got) {
    (void)got;
    struct console *c = CONTAINER_OF(s, struct console, out);
    if (!write_rest(c))
        return;
    loop_unwatch(&c->out);
    timer_stop(&c->patience);
    c->stuck = c->giving_up = false;
    if (c->dropped)
        log_warn(NULL, "%lu lines of services were dropped while the console was stuck",
                 c->dropped);
    c->dropped = 0;
    c->resume(c);
}

static void patience_over(struct timer *t) {
    struct console *c = CONTAINER_OF(t, struct console, patience);
    c->giving_up = true;
    c->resume(c);
}

void console_init(struct console *c, struct loop *l) {
    c->loop = l;
    c->out = (struct source){ .fd = log_fd(), .want = EPOLLOUT, .ready = out_ready };
    c->patience.fire = patience_over;
}

bool console_line(struct console *c, const char *unit, const char *text, size_t n) {
    if (c->giving_up) {
        c->dropped++;
        return true;
    }
    if (c->stuck)
        return false;
    size_t len = log_format_output(c->rest, sizeof c->rest, unit, text, n); /* it is free */
    size_t done = console_write(c, c->rest, len);
    if (done == 0)
        return false;
    if (done < len) {
        c->rest_len = len - done;
        memmove(c->rest, c->rest + done, c->rest_len);
        console_stuck(c);
    }
    return true;
}
