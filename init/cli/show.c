#include "cli/show.h"

#include <stdio.h>

char *text_safe(char *s) {
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return s;
}

const char *format_bytes(char buf[BYTES_TEXT], uint64_t n) {
    static const char units[] = "KMGTPE";
    uint64_t scaled = n;
    size_t unit = 0;
    while (scaled >= UINT64_C(1024) * 1024) {
        scaled /= 1024;
        unit++;
    }
    if (n < 1024)
        (void)snprintf(buf, BYTES_TEXT, "%uB", (unsigned)n);
    else
        (void)snprintf(buf, BYTES_TEXT, "%u.%u%c", (unsigned)(scaled / 1024),
                       (unsigned)(scaled % 1024 * 10 / 1024), units[unit]);
    return buf;
}
