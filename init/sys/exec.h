/* exec.h — execute a program, found as a shell would find it. */
#ifndef SYS_EXEC_H
#define SYS_EXEC_H

#include <limits.h>
#include <stdbool.h>

/* argv[0] is looked up on the PATH of `environ` unless it holds a slash. A text that the kernel
 * does not know is a script for sh, as execvp(3) of every libc but musl has it; a binary (a NUL in
 * its first line, as bash judges) is ENOEXEC. Returns only on failure, with its errno; EACCES
 * anywhere on PATH outlives a later ENOENT. */
int exec_program(const char *const *argv);

/* Is there such a file, where exec_program() would look? Then its ENOENT was about the interpreter:
 * that of a script's first line, or the dynamic loader (execve(2)). */
bool exec_exists(const char *name);

/* --- the search, in parts --------------------------------------------------------------------- */

#define EXEC_PATH "/usr/local/bin:/bin:/usr/bin" /* where there is no PATH */

/* *path is a place in a PATH, and moves on to the next one, or NULL. False: the file's name would
 * be too long. */
bool exec_next_file(const char **path, const char *name, char file[PATH_MAX]);

/* After execve(2) has failed with this: is it to be looked for in the next directory? */
bool exec_goes_on(int code);

#endif
