/* Any text is a probe spec or is refused with a message; one that is taken is whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "probes/parse.h"
#include "probes/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parts that are parsed again when the probe runs must not be refused by then. */
static void parse_again(const struct probe_spec *s) {
    struct http_url url;
    struct endpoint to;
    if (s->kind == PROBE_HTTP && (http_url_parse(&url, s->arg, NULL) < 0 || url.target[0] != '/' ||
                                  s->status_min > s->status_max || strpbrk(url.target, " \r\n") ||
                                  strpbrk(url.host, " \r\n")))
        abort();
    if (s->kind == PROBE_TCP && endpoint_parse(&to, s->arg, "tcp", 0, HOST_OPTIONAL, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[2 * MAX_PROBE_SPEC], hosts[MAX_NAMESERVERS][MAX_PROBE_HOST];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    /* What libc's regcomp makes of a pattern is not ours to test, and takes for ever. */
    if (strncmp(text, "log:", 4) == 0)
        return 0;
    struct probe_spec s;
    struct err e = { 0 };
    int rc = probe_parse(&s, text, &e);
    if (rc < 0 ? !e.text[0] || rc != -e.code : strcmp(s.text, text) != 0)
        abort();
    if (rc == 0)
        parse_again(&s);
    (void)resolv_nameservers(text, hosts, MAX_NAMESERVERS);
    return 0;
}
