/* bug.h — programming errors, in a process that must not die.
 *
 * As PID 1, abort(3) kills every process in the box and reports the wrong cause.
 * BUG_ON therefore logs, counts, and lets the caller take its stated way out:
 *
 *     if (BUG_ON(c->pid <= 0))
 *         return;
 *
 * Test, simulation and fuzz builds define BUG_IS_FATAL: there it aborts.
 */
#ifndef BASE_BUG_H
#define BASE_BUG_H

#include <stdbool.h>

/* Logs the place (the first BUG_LOG_MAX times) and counts. Defined in log.c. */
void bug_report(const char *file, int line, const char *what);
unsigned bug_count(void);

static inline bool bug_hit(bool bad, const char *file, int line, const char *what) {
    if (__builtin_expect(bad, 0))
        bug_report(file, line, what);
    return bad;
}

#define BUG_ON(cond) bug_hit((cond), __FILE__, __LINE__, #cond)

#endif
