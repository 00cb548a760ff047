/* err.h — an error a person can act on, without malloc.
 *
 * A function that can fail returns 0 (or a useful non-negative number) or a
 * negative errno. Where the reason is worth words it takes `struct err *` last
 * and writes it on failure only. Nothing below the deciding layer logs: it
 * reports, and whoever decides what happens next logs once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    int code;       /* positive errno, 0 while unset */
    char text[320]; /* NUL-terminated; cut, never grown */
};

/* Set `e` (may be NULL); returns -code, for `return err_set(e, errno, "open %s", path)`.
 * The text of `code` is appended: "open /x: No such file or directory". */
__attribute__((format(printf, 3, 4))) int err_sys(struct err *e, int code, const char *fmt, ...);

/* The same without the text of `code`, for refusals that explain themselves. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *e, int code, const char *fmt, ...);

/* Put context in front of what is there: "a.ini:7: <old text>". Returns -e->code. */
__attribute__((format(printf, 2, 3))) int err_wrap(struct err *e, const char *fmt, ...);

#endif
