/* exec.h — execute a program, found as a shell would find it. */
#ifndef SYS_EXEC_H
#define SYS_EXEC_H

/* argv[0] is looked up on the PATH of `environ` unless it holds a slash. A file that the
 * kernel does not know is a script for sh, as execvp(3) of every libc but musl has it.
 * Returns only on failure, with its errno; EACCES anywhere on PATH outlives a later ENOENT. */
int exec_program(const char *const *argv);

#endif
