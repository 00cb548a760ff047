#include "machine/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"

/* Positions in ip=. */
enum { CLIENT, SERVER, GATEWAY, NETMASK, HOST, DEVICE, AUTOCONF, DNS, NTP = DNS + CMDLINE_DNS };
enum { IP_FIELDS = NTP + 1, FIELD_TEXT = 128 };

struct word {
    const char *s;
    size_t n;
};

/* The next word; empty at the end. Quotes keep blanks in it, as the kernel has it. */
static struct word any_word(const char **line) {
    const char *p = *line + strspn(*line, " \t\n");
    bool quoted = false;
    struct word word = { p, 0 };
    while (*p && (quoted || !strchr(" \t\n", *p))) {
        quoted ^= *p == '"';
        p++;
    }
    word.n = (size_t)(p - word.s);
    *line = p;
    return word;
}

static bool is(struct word word, const char *text) {
    return word.n == strlen(text) && memcmp(word.s, text, word.n) == 0;
}

/* The same, but what is behind "--" is init's. */
static struct word next_word(const char **line) {
    struct word w = any_word(line);
    return is(w, "--") ? (struct word){ w.s, 0 } : w;
}

bool cmdline_has(const char *line, const char *word) {
    for (struct word w = next_word(&line); w.n; w = next_word(&line))
        if (is(w, word))
            return true;
    return false;
}

/* One field of ip=, up to the next colon that is in no brackets; these are taken off. */
static bool next_field(struct word *rest, char out[FIELD_TEXT]) {
    const char *p = rest->s, *end = p + rest->n, *close = NULL;
    if (p < end && *p == '[' && (close = memchr(p, ']', rest->n)))
        p++;
    const char *stop = close ? close : memchr(p, ':', (size_t)(end - p));
    if (!stop)
        stop = end;
    size_t n = (size_t)(stop - p);
    if (n >= FIELD_TEXT)
        return false;
    memcpy(out, p, n);
    out[n] = '\0';
    p = stop + (close != NULL);
    if (p < end && *p != ':')
        return false;
    p += p < end;
    *rest = (struct word){ p, (size_t)(end - p) };
    return true;
}

/* "255.255.255.0" or "24". -1: neither. */
static int mask_length(const char *text, uint8_t bits) {
    struct ip mask;
    unsigned n;
    if (parse_uint(text, 0, bits, &n, NULL) == 0)
        return (int)n;
    if (bits != 32 || !ip_parse(text, &mask) || mask.family != AF_INET)
        return -1;
    uint32_t ones = (uint32_t)mask.b[0] << 24 | (uint32_t)mask.b[1] << 16 |
                    (uint32_t)mask.b[2] << 8 | mask.b[3];
    int len = ones == UINT32_MAX ? 32 : __builtin_clz(~ones);
    return len == 32 || ones << len == 0 ? len : -1;
}

/* Without a mask, that of the address's class (RFC 791), as the kernel does it. */
static uint8_t class_length(const struct ip *ip) {
    if (ip->family != AF_INET)
        return 64;
    return ip->b[0] < 128 ? 8 : ip->b[0] < 192 ? 16 : 24;
}

static int bad_field(struct err *e, const char *what, const char *text) {
    return err_set(e, EINVAL, "ip=: '%.60s' is no %s", text, what);
}

static int take_address(const char *what, const char *text, struct ip *out, struct err *e) {
    if (*text && !ip_parse(text, out))
        return bad_field(e, what, text);
    if (ip_is_none(out)) /* 0.0.0.0 stands for nothing there */
        *out = (struct ip){ 0 };
    return 0;
}

static int take_client(struct cmdline_ip *out, const char *client, const char *mask,
                       struct err *e) {
    int rc = take_address("address", client, &out->client.ip, e);
    if (rc < 0 || !out->client.ip.family)
        return rc;
    int len = *mask ? mask_length(mask, ip_bits(&out->client.ip)) : class_length(&out->client.ip);
    if (len < 0)
        return bad_field(e, "netmask", mask);
    out->client.len = (uint8_t)len;
    return 0;
}

static int take_names(struct cmdline_ip *out, const char *host, const char *device, struct err *e) {
    if (strlen(host) >= sizeof out->host)
        return bad_field(e, "host name", host);
    if (strlen(device) >= sizeof out->device)
        return bad_field(e, "name of a link", device);
    (void)strcpy(out->host, host);
    (void)strcpy(out->device, device);
    return 0;
}

static int read_ip(struct word value, struct cmdline_ip *out, struct err *e) {
    char f[IP_FIELDS][FIELD_TEXT] = { { 0 } };
    *out = (struct cmdline_ip){ .off = is(value, "off") || is(value, "none") };
    if (!memchr(value.s, ':', value.n))
        return 0; /* off, or a way of autoconf */
    for (size_t n = 0; value.n && n < IP_FIELDS; n++)
        if (!next_field(&value, f[n]))
            return err_set(e, EINVAL, "ip=: field %zu is too long, or its brackets are wrong",
                           n + 1);
    int rc = take_client(out, f[CLIENT], f[NETMASK], e);
    if (rc == 0)
        rc = take_address("gateway", f[GATEWAY], &out->gateway, e);
    if (rc == 0)
        rc = take_names(out, f[HOST], f[DEVICE], e);
    for (size_t i = 0; rc == 0 && i < CMDLINE_DNS; i++)
        rc = take_address("resolver", f[DNS + i], &out->dns[i], e);
    return rc;
}

int cmdline_ip(const char *line, unsigned nth, struct cmdline_ip *out, struct err *e) {
    for (struct word w = next_word(&line); w.n; w = next_word(&line))
        if (w.n > 3 && memcmp(w.s, "ip=", 3) == 0 && nth-- == 0) {
            int rc = read_ip((struct word){ w.s + 3, w.n - 3 }, out, e);
            return rc < 0 ? rc : 1;
        }
    return 0;
}

int cmdline_init_words(const char *line) {
    int n = 0;
    while (next_word(&line).n)
        ;
    while (any_word(&line).n)
        n++;
    return n;
}
