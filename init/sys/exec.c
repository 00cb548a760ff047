#include "sys/exec.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

extern char **environ;

static void exec_as_script(const char *file, const char *const *argv) {
    size_t n = 1;
    while (argv[n])
        n++;
    AUTO_FREE const char **shell = calloc(n + 2, sizeof *shell);
    if (!shell)
        return;
    shell[0] = "/bin/sh";
    shell[1] = file;
    memcpy(shell + 2, argv + 1, (n - 1) * sizeof *shell);
    (void)execve(shell[0], (char *const *)shell, environ);
}

static void exec_file(const char *file, const char *const *argv) {
    (void)execve(file, (char *const *)argv, environ);
    if (errno == ENOEXEC)
        exec_as_script(file, argv);
}

/* May the search go on behind this directory? */
static bool try_next(int code) {
    return code == ENOENT || code == EACCES || code == ENOTDIR || code == ESTALE ||
           code == ENODEV || code == ETIMEDOUT;
}

int exec_program(const char *const *argv) {
    const char *name = argv[0];
    if (strchr(name, '/') || !*name) {
        exec_file(name, argv);
        return errno;
    }
    const char *dir = getenv("PATH");
    bool denied = false;
    for (const char *end; (dir = dir ? dir : "/usr/local/bin:/bin:/usr/bin"); dir = end + 1) {
        end = strchrnul(dir, ':');
        char file[PATH_MAX];
        int n = snprintf(file, sizeof file, "%.*s%s%s", (int)(end - dir), dir, end > dir ? "/" : "",
                         name);
        errno = ENAMETOOLONG;
        if (n < (int)sizeof file)
            exec_file(file, argv);
        if (!try_next(errno))
            return errno;
        denied |= errno == EACCES;
        if (!*end)
            break;
    }
    return denied ? EACCES : ENOENT;
}
