#include "sys/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

extern char **environ;

/* execve(2) says ENOEXEC of a program for another machine, too. */
static bool is_text(const char *file) {
    char head[128];
    AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    const char *line_end = n > 0 ? memchr(head, '\n', (size_t)n) : NULL;
    size_t line = line_end ? (size_t)(line_end - head) : n > 0 ? (size_t)n : 0;
    return !memchr(head, '\0', line);
}

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
    if (errno != ENOEXEC)
        return;
    if (is_text(file))
        exec_as_script(file, argv);
    errno = ENOEXEC; /* of the file, whatever became of the shell */
}

bool exec_goes_on(int code) {
    return code == ENOENT || code == EACCES || code == ENOTDIR || code == ESTALE ||
           code == ENODEV || code == ETIMEDOUT;
}

bool exec_next_file(const char **path, const char *name, char file[PATH_MAX]) {
    const char *end = strchrnul(*path, ':');
    int n = snprintf(file, PATH_MAX, "%.*s%s%s", (int)(end - *path), *path, end > *path ? "/" : "",
                     name);
    *path = *end ? end + 1 : NULL;
    return n < PATH_MAX;
}

static const char *search_path(void) {
    const char *path = getenv("PATH");
    return path ? path : EXEC_PATH;
}

int exec_program(const char *const *argv) {
    const char *name = argv[0];
    if (strchr(name, '/') || !*name) {
        exec_file(name, argv);
        return errno;
    }
    bool denied = false;
    for (const char *path = search_path(); path;) {
        char file[PATH_MAX];
        bool fits = exec_next_file(&path, name, file);
        errno = ENAMETOOLONG;
        if (fits)
            exec_file(file, argv);
        if (!exec_goes_on(errno))
            return errno;
        denied |= errno == EACCES;
    }
    return denied ? EACCES : ENOENT;
}

bool exec_exists(const char *name) {
    if (strchr(name, '/') || !*name)
        return access(name, F_OK) == 0;
    char file[PATH_MAX];
    for (const char *path = search_path(); path;)
        if (exec_next_file(&path, name, file) && access(file, F_OK) == 0)
            return true;
    return false;
}
