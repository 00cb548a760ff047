/* PURE: what `dockerd --version` says. */
#include "engine/version.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Builds from a branch say "dev" or "0.0.0-2024...": those are not known either. */
uint32_t version_parse(const char *text) {
    static const char lead[] = "Docker version ";
    char digits[8];
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (!has_prefix(at, lead))
            continue;
        const char *number = at + sizeof lead - 1;
        size_t n = strspn(number, "0123456789");
        if (n == 0 || n >= sizeof digits || number[n] != '.')
            return 0;
        memcpy(digits, number, n);
        digits[n] = '\0';
        return (uint32_t)strtoul(digits, NULL, 10);
    }
    return 0;
}
