/* exec.h — execute a program, found as a shell would find it. */
#ifndef SYS_EXEC_H
#define SYS_EXEC_H

#include <stdbool.h>

/* argv[0] is looked up on the PATH of `environ` unless it holds a slash. A text that the kernel
 * does not know is a script for sh, as execvp(3) of every libc but musl has it; a binary (a NUL in
 * its first line, as bash judges) is ENOEXEC. Returns only on failure, with its errno; EACCES
 * anywhere on PATH outlives a later ENOENT. */
int exec_program(const char *const *argv);

/* Is there such a file, where exec_program() would look? Then its ENOENT was about the interpreter:
 * that of a script's first line, or the dynamic loader (execve(2)). */
bool exec_exists(const char *name);

#endif
