/* log.h — pinnace's own lines on the console, from whichever process says them.
 *
 *     log_info("engine", "ready after %lld ms", ms);
 *
 * text:  pinnace: engine: ready after 812 ms
 * json:  {"ts":"2026-11-22T01:46:04.123Z","level":"info","unit":"engine","msg":"..."}
 *
 * A line is one write(2) on a non-blocking description of our own where the kernel
 * allows one, so a stuck console never blocks PID 1: such lines are counted, and the
 * next one that goes through says how many were dropped.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum log_format { LOG_TEXT, LOG_JSON };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Write to `fd` (2, usually), which stays the caller's. Until called, stderr as text. */
void log_init(int fd, enum log_format format, enum log_level level);

/* `unit` may be NULL: pinnace itself. */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *unit,
                                                    const char *fmt, ...);

#define log_error(unit, ...) log_line(LOG_ERROR, unit, __VA_ARGS__)
#define log_warn(unit, ...)  log_line(LOG_WARN, unit, __VA_ARGS__)
#define log_info(unit, ...)  log_line(LOG_INFO, unit, __VA_ARGS__)
#define log_debug(unit, ...) log_line(LOG_DEBUG, unit, __VA_ARGS__)

/* One service line as the console shows it, newline included: "name | text" or JSON.
 * Control bytes are escaped. Returns the length, at most `cap`. */
size_t log_format_output(char *out, size_t cap, const char *unit, const char *text, size_t len);

/* Write bytes to where lines go, without ever waiting. As write(2): EAGAIN, and parts. */
ssize_t log_write(const char *bytes, size_t n);

/* The descriptor that lines go to. */
int log_fd(void);
enum log_format log_current_format(void);

#endif
