#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void set_text(struct err *e, int code, const char *fmt,
                                                           va_list ap, const char *tail) {
    char head[sizeof e->text];
    (void)vsnprintf(head, sizeof head, fmt, ap);
    int n = snprintf(e->text, sizeof e->text, "%s", head);
    if (tail && n > 0 && (size_t)n < sizeof e->text)
        (void)snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", tail);
    e->code = code;
}

int err_sys(struct err *e, int code, const char *fmt, ...) {
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        set_text(e, code, fmt, ap, strerror(code));
        va_end(ap);
    }
    return -code;
}

int err_set(struct err *e, int code, const char *fmt, ...) {
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        set_text(e, code, fmt, ap, NULL);
        va_end(ap);
    }
    return -code;
}

int err_wrap(struct err *e, const char *fmt, ...) {
    if (!e)
        return -1;
    struct err inner = *e;
    va_list ap;
    va_start(ap, fmt);
    set_text(e, inner.code, fmt, ap, inner.text);
    va_end(ap);
    return -inner.code;
}
