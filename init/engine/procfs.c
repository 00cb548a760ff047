/* PURE: no I/O. */
#include "engine/procfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* The three digits of "\040", or -1. */
static int octal(const char *s) {
    int value = 0;
    for (int i = 0; i < 3; i++) {
        if (s[i] < '0' || s[i] > '7')
            return -1;
        value = value * 8 + (s[i] - '0');
    }
    return value <= 255 ? value : -1;
}

/* Copy the field at *at (may be NULL), and step over it and the space behind it. */
static bool take_field(const char **at, const char *end, char *out, size_t cap) {
    size_t used = 0;
    const char *p = *at;
    if (p >= end)
        return false;
    while (p < end && *p != ' ') {
        int code = *p == '\\' && end - p > 3 ? octal(p + 1) : -1;
        char c = code >= 0 ? (char)code : *p;
        p += code >= 0 ? 4 : 1;
        if (out && used + 1 < cap)
            out[used++] = c;
    }
    if (out)
        out[used] = '\0';
    *at = p < end ? p + 1 : p;
    return true;
}

static bool parse_line(const char *p, const char *end, struct mount_line *out) {
    char field[64];
    bool ok = take_field(&p, end, NULL, 0) && take_field(&p, end, NULL, 0) &&
              take_field(&p, end, NULL, 0) && take_field(&p, end, out->root, sizeof out->root) &&
              take_field(&p, end, out->point, sizeof out->point) &&
              take_field(&p, end, out->options, sizeof out->options);
    do /* optional fields such as "shared:1", until a lone dash */
        ok = ok && take_field(&p, end, field, sizeof field);
    while (ok && strcmp(field, "-") != 0);
    return ok && take_field(&p, end, out->type, sizeof out->type) &&
           take_field(&p, end, out->source, sizeof out->source);
}

bool mountinfo_next(const char **at, struct mount_line *out) {
    while (**at) {
        const char *line = *at;
        const char *end = line + strcspn(line, "\n");
        *at = *end ? end + 1 : end;
        if (parse_line(line, end, out))
            return true;
    }
    return false;
}

bool mountinfo_find(const char *text, const char *point, struct mount_line *out) {
    struct mount_line m;
    bool found = false;
    while (mountinfo_next(&text, &m))
        if (strcmp(m.point, point) == 0) {
            *out = m;
            found = true;
        }
    return found;
}

bool has_option(const char *options, const char *word) {
    size_t len = strlen(word);
    for (const char *p = options; *p;) {
        size_t n = strcspn(p, ",");
        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

/* What follows `prefix` on the first line that begins with it. */
static const char *line_after(const char *text, const char *prefix) {
    while (!has_prefix(text, prefix)) {
        text = strchr(text, '\n');
        if (!text)
            return NULL;
        text++;
    }
    return text + strlen(prefix);
}

bool status_hex(const char *text, const char *field, uint64_t *out) {
    char prefix[40];
    (void)snprintf(prefix, sizeof prefix, "%s:", field);
    const char *value = line_after(text, prefix);
    if (!value)
        return false;
    value += strspn(value, " \t");
    char *end;
    *out = strtoull(value, &end, 16);
    return end != value;
}

bool uid_map_is_full(const char *text) {
    static const unsigned long long full[] = { 0, 0, UINT32_MAX }; /* inside, outside, how many */
    for (size_t i = 0; i < 3; i++) {
        char *end;
        if (strtoull(text, &end, 10) != full[i] || end == text)
            return false;
        text = end;
    }
    return true;
}

bool cgroup_path(const char *text, char *out, size_t cap) {
    const char *value = line_after(text, "0::");
    if (!value)
        return false;
    size_t len = strcspn(value, "\n");
    if (len >= cap)
        return false;
    memcpy(out, value, len);
    out[len] = '\0';
    return true;
}

bool version_is_gvisor(const char *text) {
    return strstr(text, "gVisor") || strstr(text, "Sun Jan 10 15:06:54 PST 2016");
}
