/* PURE: no I/O. */
#include "net/resolv.h"

#include <stdio.h>
#include <string.h>

#define BLOCK "# pinnace answers for the resolvers marked below, and puts them back at the end\n"
#define MARK  "#pinnace "

/* One line with its newline, which the last one may lack. */
struct line {
    const char *at;
    size_t len;
};

static bool next_line(const char **at, const char *end, struct line *out) {
    if (*at == end)
        return false;
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    out->at = *at;
    out->len = newline ? (size_t)(newline + 1 - *at) : (size_t)(end - *at);
    *at += out->len;
    return true;
}

static bool begins(struct line l, const char *with) {
    size_t n = strlen(with);
    return l.len >= n && memcmp(l.at, with, n) == 0;
}

static struct line behind(struct line l, size_t n) { return (struct line){ l.at + n, l.len - n }; }

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* libc takes the keyword at the start of the line only, and a blank behind it. */
static bool has_keyword(struct line l, const char *keyword) {
    size_t n = strlen(keyword);
    return begins(l, keyword) && l.len > n && is_blank(l.at[n]);
}

static bool is_server(struct line l) { return has_keyword(l, "nameserver"); }

static bool server_of(struct line l, struct ip *out) {
    char word[IP_TEXT];
    size_t at = strlen("nameserver"), n = 0;
    while (at < l.len && is_blank(l.at[at]))
        at++;
    while (at + n < l.len && n < sizeof word - 1 && !is_blank(l.at[at + n]) &&
           l.at[at + n] != '\n' && l.at[at + n] != '\r')
        n++;
    memcpy(word, l.at + at, n);
    word[n] = '\0';
    return ip_parse(word, out) && !ip_is_none(out);
}

/* Step over our block at the start, if there is one. */
static bool skip_block(const char **at, const char *end, struct ip *by) {
    struct line l;
    const char *p = *at;
    if (!next_line(&p, end, &l) || !begins(l, BLOCK))
        return false;
    *at = p;
    if (next_line(&p, end, &l) && is_server(l)) {
        (void)server_of(l, by);
        *at = p;
    }
    return true;
}

static void add_server(struct resolv *out, struct line l) {
    struct ip ip;
    if (!server_of(l, &ip)) {
        out->wrong++;
        return;
    }
    for (size_t i = 0; i < out->n; i++)
        if (ip_equal(&out->servers[i], &ip))
            return;
    if (out->n == MAX_UPSTREAMS)
        out->more++;
    else
        out->servers[out->n++] = ip;
}

/* What stands behind the keyword, without the end of the line. */
static void keep_words(char out[RESOLV_WORDS], struct line l, const char *keyword) {
    struct line rest = behind(l, strlen(keyword) + 1);
    while (rest.len > 0 && strchr("\r\n \t", rest.at[rest.len - 1]))
        rest.len--;
    (void)snprintf(out, RESOLV_WORDS, "%.*s",
                   (int)(rest.len < RESOLV_WORDS ? rest.len : RESOLV_WORDS), rest.at);
}

static void keep_line(struct resolv *out, struct line l) {
    if (is_server(l))
        add_server(out, l);
    else if (has_keyword(l, "search"))
        keep_words(out->search, l, "search");
    else if (has_keyword(l, "domain"))
        keep_words(out->search, l, "domain");
    else if (has_keyword(l, "options"))
        keep_words(out->options, l, "options");
}

void resolv_parse(struct resolv *out, const char *text, size_t len) {
    const char *at = text, *end = text + len;
    struct line l;
    *out = (struct resolv){ 0 };
    out->ours = skip_block(&at, end, &out->by);
    while (next_line(&at, end, &l)) {
        if (out->ours && begins(l, MARK))
            l = behind(l, strlen(MARK));
        keep_line(out, l);
    }
}

bool resolv_take(struct text *out, const char *text, size_t len, const struct ip *by) {
    const char *at = text, *end = text + len;
    struct ip old;
    struct line l;
    char name[IP_TEXT];
    bool ours = skip_block(&at, end, &old);
    text_add(out, BLOCK "nameserver %s\n", ip_text(by, name));
    while (next_line(&at, end, &l)) {
        if (is_server(l) || (!ours && begins(l, MARK)))
            text_add(out, MARK);
        text_put(out, l.at, l.len);
    }
    return !out->cut;
}

bool resolv_give_back(struct text *out, const char *text, size_t len) {
    const char *at = text, *end = text + len;
    struct ip by;
    struct line l;
    bool ours = skip_block(&at, end, &by);
    while (next_line(&at, end, &l)) {
        if (ours && begins(l, MARK))
            l = behind(l, strlen(MARK));
        text_put(out, l.at, l.len);
    }
    return !out->cut;
}
