/* PURE: hosts, ports, paths. */
#include "probes/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int port_parse(uint16_t *out, const char *text, const char *what, struct err *e) {
    size_t n = strlen(text);
    bool digits = n > 0 && n <= 5 && strspn(text, "0123456789") == n;
    unsigned long v = digits ? strtoul(text, NULL, 10) : 0;
    if (v < 1 || v > 65535)
        return err_set(e, EINVAL, "%s port '%s' is not 1-65535", what, text);
    *out = (uint16_t)v;
    return 0;
}

static bool is_v4(const char *host) {
    struct in_addr a;
    return inet_pton(AF_INET, host, &a) == 1;
}

/* With or without a zone: "fe80::1%eth0", RFC 4007 11. */
static bool is_v6(const char *host) {
    char bare[MAX_PROBE_HOST];
    size_t n = strcspn(host, "%");
    if (n >= sizeof bare || (host[n] == '%' && host[n + 1] == '\0'))
        return false;
    memcpy(bare, host, n);
    bare[n] = '\0';
    struct in6_addr a;
    return inet_pton(AF_INET6, bare, &a) == 1;
}

/* Letters, digits, '-', '_' and '.'. A last label of digits alone is an address gone
 * wrong ("10.0.1"), which libc would complete to one that nobody meant. */
static bool is_name(const char *host) {
    size_t n = strlen(host);
    if (n == 0 || n > 253)
        return false;
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            return false;
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;
    return host[0] != '.' && !(last[0] && strspn(last, "0123456789") == strlen(last));
}

static int host_check(const char *host, bool bracketed, const char *what, enum endpoint_rule rule,
                      struct err *e) {
    if (bracketed && !is_v6(host))
        return err_set(e, EINVAL, "%s host '[%s]' is not an IPv6 address", what, host);
    if (bracketed || is_v4(host))
        return 0;
    if (rule & HOST_LITERAL)
        return err_set(e, EINVAL, "%s server '%s' is not 1.2.3.4 or [2001:db8::1]", what, host);
    if (!is_name(host))
        return err_set(e, EINVAL, "%s host '%s' is not a name, 1.2.3.4 or [2001:db8::1]", what,
                       host);
    return 0;
}

/* Where the host ends and, after a colon, the port begins (NULL: none). */
static int split(const char *text, const char *what, const char **host, size_t *n,
                 const char **port, struct err *e) {
    *host = text;
    if (text[0] != '[') {
        const char *colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':'))
            return err_set(e, EINVAL, "%s address '%s': write IPv6 in brackets, [::1]:80", what,
                           text);
        *n = colon ? (size_t)(colon - text) : strlen(text);
        *port = colon ? colon + 1 : NULL;
        return 0;
    }
    const char *end = strchr(text, ']');
    if (!end || (end[1] != '\0' && end[1] != ':'))
        return err_set(e, EINVAL, "%s address '%s' is not [IPv6]:PORT", what, text);
    *host = text + 1;
    *n = (size_t)(end - text - 1);
    *port = end[1] == ':' ? end + 2 : NULL;
    return 0;
}

int endpoint_parse(struct endpoint *out, const char *text, const char *what, uint16_t port,
                   enum endpoint_rule rule, struct err *e) {
    const char *host = NULL, *digits = NULL;
    size_t n = 0;
    int rc = split(text, what, &host, &n, &digits, e);
    if (rc < 0)
        return rc;
    if ((rule & HOST_OPTIONAL) && !digits && text[0] != '[') {
        host = "localhost";
        n = strlen(host);
        digits = text;
    }
    if (n >= sizeof out->host)
        return err_set(e, EINVAL, "%s host is longer than %d bytes", what, MAX_PROBE_HOST - 1);
    memcpy(out->host, host, n);
    out->host[n] = '\0';
    if (!digits && port == 0)
        return err_set(e, EINVAL, "%s '%s' has no port: write HOST:PORT", what, text);
    rc = host_check(out->host, text[0] == '[', what, rule, e);
    if (rc < 0)
        return rc;
    out->port = port;
    return digits ? port_parse(&out->port, digits, what, e) : 0;
}

int path_check(const char *path, const char *what, size_t cap, struct err *e) {
    if (path[0] != '/')
        return err_set(e, EINVAL, "%s path '%s' is not absolute (/...)", what, path);
    if (strlen(path) >= cap)
        return err_set(e, EINVAL, "%s path is longer than %zu bytes: %s", what, cap - 1, path);
    for (const char *c = path; *c; c++)
        if (iscntrl((unsigned char)*c))
            return err_set(e, EINVAL, "%s path '%s' has a control byte in it", what, path);
    return 0;
}

size_t resolv_nameservers(const char *text, char out[][MAX_PROBE_HOST], size_t max) {
    size_t found = 0;
    while (*text && found < max) {
        size_t line = strcspn(text, "\n");
        size_t key = strspn(text, " \t");
        key += strncmp(text + key, "nameserver", 10) == 0 ? 10 : 0;
        size_t gap = key >= 10 ? strspn(text + key, " \t") : 0;
        size_t n = gap > 0 ? strcspn(text + key + gap, " \t\r\n#;") : 0;
        if (n > 0 && n < MAX_PROBE_HOST) {
            memcpy(out[found], text + key + gap, n);
            out[found++][n] = '\0';
        }
        text += line + (text[line] == '\n');
    }
    return found;
}
