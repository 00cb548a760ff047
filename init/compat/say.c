#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "compat/persona.h"

void say(int fd, const char *fmt, ...) {
    char line[MAX_PLAIN_LINE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0)
        (void)!write(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void say_text(int fd, const char *text) { (void)!write(fd, text, strlen(text)); }
