/* glob.h — patterns of paths: "?" is any character, "*" any number of them, neither a slash; "**"
 * is anything; a backslash makes the next one mean itself. PURE; its time is bounded by the product
 * of the lengths.
 */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include <stdbool.h>

enum { GLOB_MAX = 255 }; /* bytes of a pattern; a longer one matches nothing */

/* Does the pattern match some parts of `path` that follow each other: "*.o" does with "a/b.o",
 * "node_modules" with "x/node_modules/y", "b/c" with "a/b/c/d"? One that begins with a slash only
 * matches from the beginning of the path. */
bool glob_matches(const char *pattern, const char *path);
/* Any of them; NULL-terminated, or NULL. */
bool glob_any(const char *const *patterns, const char *path);

#endif
