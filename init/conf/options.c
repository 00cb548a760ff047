#include "conf/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/own.h"
#include "base/str.h"

/* --- one parser per type ------------------------------------------------------------ */

static int opt_text(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    char *copy = text[0] ? strdup(text) : NULL;
    if (text[0] && !copy)
        return err_set(e, ENOMEM, "out of memory");
    mem_release(field);
    *(char **)field = copy;
    return 0;
}

static int opt_secret(const struct option *o, const char *text, void *field, struct err *e) {
    return opt_text(o, text, field, e); /* a name of its own, by which it is known */
}

bool option_is_secret(const struct option *o) { return o->parse == opt_secret; }

static int opt_dir(const struct option *o, const char *text, void *field, struct err *e) {
    bool word =
        (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0) && strstr(o->allowed, text);
    if (text[0] && text[0] != '/' && !word)
        return err_set(e, EINVAL, "'%.80s' is not an absolute path", text);
    return opt_text(o, text, field, e);
}

static int opt_words(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    char **words;
    size_t n;
    int rc = split_words(text, &words, &n, e);
    if (rc < 0)
        return rc;
    if (n > MAX_WORDS) {
        free(words);
        return err_set(e, E2BIG, "more than %d words", MAX_WORDS);
    }
    mem_release(field);
    *(char ***)field = words;
    return 0;
}

static int opt_env(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    int rc = opt_words(o, text, &words, e);
    if (rc < 0)
        return rc;
    for (char **w = words; w && *w; w++)
        if ((*w)[0] == '=' || !strchr(*w, '='))
            return err_set(e, EINVAL, "'%.80s' is not NAME=value", *w);
    mem_release(field);
    *(char ***)field = words;
    words = NULL;
    return 0;
}

static int opt_bool(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    static const char *const yes[] = { "yes", "true", "on", "1" };
    static const char *const no[] = { "no", "false", "off", "0" };
    for (size_t i = 0; i < 4; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *(bool *)field = text[0] == yes[i][0] && strcmp(text, yes[i]) == 0;
            return 0;
        }
    return err_set(e, EINVAL, "'%.80s' is not yes or no", text);
}

static int opt_span(const struct option *o, const char *text, void *field, struct err *e) {
    return parse_span(text, strstr(o->allowed, "never") != NULL, field, e);
}

static int opt_count(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    return parse_uint(text, 1, 1000000, field, e);
}

static int opt_unlimited(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    if (strcmp(text, "unlimited") == 0) {
        *(unsigned *)field = 0;
        return 0;
    }
    return parse_uint(text, 1, 1000000, field, e);
}

static int opt_fd(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    if (strcmp(text, "none") == 0) {
        *(unsigned *)field = 0;
        return 0;
    }
    return parse_uint(text, 3, 1023, field, e);
}

static int opt_port(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    char *end;
    unsigned long n = strcmp(text, "none") == 0 ? 0 : strtoul(text, &end, 0);
    if (strcmp(text, "none") != 0 && (*end || end == text || n == 0 || n > UINT16_MAX))
        return err_set(e, EINVAL, "'%.40s' is not a port from 1 to 0xffff", text);
    *(unsigned *)field = (unsigned)n;
    return 0;
}

static int opt_signal(const struct option *o, const char *text, void *field, struct err *e) {
    if (strstr(o->allowed, "none") && strcmp(text, "none") == 0) {
        *(int *)field = 0;
        return 0;
    }
    int n = signal_number(text);
    if (n < 0)
        return err_set(e, EINVAL, "'%.40s' is not a signal such as TERM, USR1, RTMIN+3 or 15",
                       text);
    *(int *)field = n;
    return 0;
}

/* "a | b | c": the value is the position of the text in the list. */
static int opt_choice(const struct option *o, const char *text, void *field, struct err *e) {
    char list[128];
    const char *names[16];
    size_t n = 0;
    (void)snprintf(list, sizeof list, "%s", o->allowed);
    for (char *save, *w = strtok_r(list, " |", &save); w && n < 16; w = strtok_r(NULL, " |", &save))
        names[n++] = w;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0) {
            *(int *)field = (int)i;
            return 0;
        }
    const char *near = nearest(text, names, n);
    return err_set(e, EINVAL, "'%.80s' is not one of %s%s%s%s", text, o->allowed,
                   near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int opt_probe(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    struct probe_spec *spec = NULL;
    if (text[0]) {
        spec = calloc(1, sizeof *spec);
        if (!spec)
            return err_set(e, ENOMEM, "out of memory");
        int rc = probe_parse(spec, text, e);
        if (rc < 0) {
            free(spec);
            return rc;
        }
    }
    mem_release(field);
    *(struct probe_spec **)field = spec;
    return 0;
}

static int opt_range(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    char from[64];
    const char *dots = strstr(text, "..");
    size_t n = dots ? (size_t)(dots - text) : 0;
    struct span_range r;
    if (n == 0 || n >= sizeof from)
        return err_set(e, EINVAL, "'%.80s' is not a range of times such as 100ms..30s", text);
    memcpy(from, text, n);
    from[n] = '\0';
    int rc = parse_span(from, false, &r.from, e);
    rc = rc < 0 ? rc : parse_span(dots + 2, false, &r.to, e);
    if (rc < 0)
        return rc;
    if (r.from.ns <= 0 || r.to.ns < r.from.ns)
        return err_set(e, EINVAL,
                       "'%.80s': the first time must be above 0 and not above the second", text);
    *(struct span_range *)field = r;
    return 0;
}

/* clang-format off */
static const struct { const char *name; int resource; } rlimit_names[] = {
    { "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU }, { "data", RLIMIT_DATA },
    { "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS }, { "memlock", RLIMIT_MEMLOCK },
    { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE },
    { "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO },
    { "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
};
/* clang-format on */
enum { NRLIMITS = sizeof rlimit_names / sizeof rlimit_names[0] };

static int parse_limit_value(const char *text, rlim_t *out, struct err *e) {
    size_t v;
    if (strcmp(text, "unlimited") == 0) {
        *out = RLIM_INFINITY;
        return 0;
    }
    int rc = parse_size(text, &v, e);
    if (rc == 0)
        *out = v;
    return rc;
}

/* "nofile=1024" or "nofile=1024:4096" (soft:hard), as docker run --ulimit. */
static int parse_limit(char *word, struct spawn_limit *out, struct err *e) {
    char *value = strchr(word, '=');
    if (!value)
        return err_set(e, EINVAL, "'%.40s' is not NAME=SOFT[:HARD]", word);
    *value++ = '\0';
    char *hard = strchr(value, ':');
    if (hard)
        *hard++ = '\0';
    const char *names[NRLIMITS];
    for (size_t i = 0; i < NRLIMITS; i++) {
        names[i] = rlimit_names[i].name;
        if (strcmp(word, names[i]) != 0)
            continue;
        out->resource = rlimit_names[i].resource;
        int rc = parse_limit_value(value, &out->value.rlim_cur, e);
        rc = rc < 0 ? rc : parse_limit_value(hard ? hard : value, &out->value.rlim_max, e);
        if (rc == 0 && out->value.rlim_cur > out->value.rlim_max)
            return err_set(e, EINVAL, "'%s': the soft limit is above the hard one", word);
        return rc;
    }
    const char *near = nearest(word, names, NRLIMITS);
    return err_set(e, EINVAL, "'%.40s' is not a resource limit%s%s%s", word,
                   near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int opt_limits(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    int rc = opt_words(o, text, &words, e);
    struct limits l = { .n = 0 };
    for (size_t i = 0; rc == 0 && words && words[i]; i++) {
        if (l.n == MAX_RLIMITS)
            return err_set(e, E2BIG, "more than %d limits", MAX_RLIMITS);
        rc = parse_limit(words[i], &l.item[l.n++], e);
    }
    if (rc == 0)
        *(struct limits *)field = l;
    return rc;
}

static int opt_oom(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    unsigned v;
    bool negative = text[0] == '-';
    if (strcmp(text, "inherit") == 0) {
        *(int *)field = OOM_INHERIT;
        return 0;
    }
    int rc = parse_uint(text + negative, 0, 1000, &v, e);
    if (rc < 0)
        return err_set(e, EINVAL, "'%.40s' is not inherit or a number from -1000 to 1000", text);
    *(int *)field = negative ? -(int)v : (int)v;
    return 0;
}

static int opt_signal_map(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    int rc = opt_words(o, text, &words, e);
    if (rc < 0)
        return rc;
    struct signal_map m;
    for (int i = 0; i <= 64; i++)
        m.to[i] = (uint8_t)i;
    for (char **w = words; w && *w; w++) {
        char *colon = strchr(*w, ':');
        if (colon)
            *colon++ = '\0';
        int from = signal_number(*w);
        int to = !colon ? -1 : strcmp(colon, "0") == 0 ? 0 : signal_number(colon);
        if (colon)
            colon[-1] = ':'; /* for the message */
        if (from < 0 || to < 0)
            return err_set(e, EINVAL,
                           "'%.40s' is not FROM:TO with signals, such as TERM:QUIT or HUP:0", *w);
        m.to[from] = (uint8_t)to;
    }
    *(struct signal_map *)field = m;
    return 0;
}

static int opt_statuses(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    int rc = opt_words(o, text, &words, e);
    struct status_set set = { 0 };
    for (char **w = words; rc == 0 && w && *w; w++) {
        unsigned v = 0;
        rc = parse_uint(*w, 0, 255, &v, e);
        set.bits[v / 64] |= UINT64_C(1) << v % 64;
    }
    if (rc == 0)
        *(struct status_set *)field = set;
    return rc;
}

static int opt_ip(const struct option *o, const char *text, void *field, struct err *e) {
    struct ip ip = { 0 };
    if (strstr(o->allowed, "auto") && strcmp(text, "auto") != 0 &&
        (!ip_parse(text, &ip) || ip_is_none(&ip) || ip.family != AF_INET))
        return err_set(e, EINVAL, "'%.80s' is not auto or an IPv4 address such as 169.254.53.53",
                       text);
    *(struct ip *)field = ip;
    return 0;
}

static int opt_ips(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    struct ip_list list = { .n = 0 };
    int rc = strcmp(text, "auto") == 0 ? 0 : opt_words(o, text, &words, e);
    for (size_t i = 0; rc == 0 && words && words[i]; i++) {
        if (list.n == MAX_UPSTREAMS)
            return err_set(e, E2BIG, "more than %d addresses", MAX_UPSTREAMS);
        if (!ip_parse(words[i], &list.v[list.n]) || ip_is_none(&list.v[list.n]))
            return err_set(e, EINVAL, "'%.80s' is not an IP address such as 10.0.0.2 or fd00::2",
                           words[i]);
        list.n++;
    }
    if (rc == 0)
        *(struct ip_list *)field = list;
    return rc;
}

/* A network, not an address in it: "10.1.2.3/8" is refused, it is most likely a mistake. */
static int opt_prefixes(const struct option *o, const char *text, void *field, struct err *e) {
    AUTO_FREE char **words = NULL;
    struct prefix_list list = { .n = 0 };
    int rc = opt_words(o, text, &words, e);
    for (size_t i = 0; rc == 0 && words && words[i]; i++) {
        struct prefix p, net;
        if (list.n == MAX_SUBNETS)
            return err_set(e, E2BIG, "more than %d subnets", MAX_SUBNETS);
        if (!prefix_parse(words[i], &p))
            return err_set(e, EINVAL, "'%.80s' is not a subnet such as 10.87.0.0/16", words[i]);
        net = prefix_of(&p.ip, p.len);
        if (!ip_equal(&net.ip, &p.ip)) {
            char hint[PREFIX_TEXT];
            return err_set(e, EINVAL, "'%.80s' has bits behind its length (did you mean %s?)",
                           words[i], prefix_text(&net, hint));
        }
        list.v[list.n++] = p;
    }
    if (rc == 0)
        *(struct prefix_list *)field = list;
    return rc;
}

static int opt_mode(const struct option *o, const char *text, void *field, struct err *e) {
    (void)o;
    size_t digits = strspn(text, "01234567");
    if (digits == 0 || digits > 4 || text[digits] || strtoul(text, NULL, 8) > 0777)
        return err_set(e, EINVAL, "'%.40s' is not a mode such as 0600, octal, at most 0777", text);
    *(unsigned *)field = (unsigned)strtoul(text, NULL, 8);
    return 0;
}

static int parse_port(const char *text, unsigned most, unsigned *out, struct err *e) {
    return parse_uint(text, 1, most, out, e) < 0 ? err_wrap(e, "port") : 0;
}

/* "ADDRESS:PORT", "[ADDRESS]:PORT", "*:PORT", "localhost:PORT"; no name is looked up. */
static int parse_tcp(struct listen_spec *l, const char *text, struct err *e) {
    char address[IP_TEXT];
    bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strchr(text, ':');
    const char *from = text + bracket;
    size_t n = end ? (size_t)(end - from) : 0;
    if (!end || n == 0 || n >= sizeof address || end[bracket] != ':')
        return err_set(e, EINVAL, "'tcp:%.60s' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT",
                       text);
    memcpy(address, from, n);
    address[n] = '\0';
    const char *numeric = strcmp(address, "localhost") == 0 && !bracket ? "127.0.0.1"
                          : strcmp(address, "*") == 0 && !bracket       ? "::"
                                                                        : address;
    bool v6 = bracket || numeric[0] == ':';
    if (!ip_parse(numeric, &l->ip) || l->ip.family != (v6 ? AF_INET6 : AF_INET))
        return err_set(e, EINVAL,
                       "'%.60s' is not an address such as 127.0.0.1, [::1], localhost or *; names "
                       "are not looked up",
                       address);
    return parse_port(end + bracket + 1, 65535, &l->port, e);
}

/* What stands behind the colon, as its kind has it. */
static int parse_listen(struct listen_spec *l, const char *rest, struct err *e) {
    enum { VSOCK_MOST = 4294967294U }; /* the one above means any (vsock(7)) */
    if (l->kind == LISTEN_TCP)
        return parse_tcp(l, rest, e);
    if (l->kind == LISTEN_VSOCK)
        return parse_port(rest, VSOCK_MOST, &l->port, e);
    if (l->kind == LISTEN_UNIX && rest[0] != '/')
        return err_set(e, EINVAL, "'unix:%.80s' is not an absolute path", rest);
    if (rest[0] == '\0' || (l->kind == LISTEN_FD && strchr(rest, ':')))
        return err_set(e, EINVAL, "'fd:%.80s' is not a name in LISTEN_FDNAMES, or a number", rest);
    (void)snprintf(l->text, sizeof l->text, "%s", rest);
    return 0;
}

static int opt_listen(const struct option *o, const char *text, void *field, struct err *e) {
    static const struct {
        const char *prefix;
        enum listen_kind kind;
    } kinds[] = { { "unix:", LISTEN_UNIX },
                  { "tcp:", LISTEN_TCP },
                  { "vsock:", LISTEN_VSOCK },
                  { "fd:", LISTEN_FD } };
    struct listen_spec l = { .kind = strcmp(text, "none") == 0 ? LISTEN_NONE : LISTEN_AUTO };
    const char *rest = l.kind == LISTEN_NONE || strcmp(text, "auto") == 0 ? "" : NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (has_prefix(text, kinds[i].prefix)) {
            l.kind = kinds[i].kind;
            rest = text + strlen(kinds[i].prefix);
        }
    if (!rest)
        return err_set(e, EINVAL, "'%.80s' is not one of %s", text, o->allowed);
    if (strlen(l.kind == LISTEN_UNIX ? rest : text) >= sizeof l.text)
        return err_set(e, ENAMETOOLONG, "'%.40s...' has more than %zu bytes", text,
                       sizeof l.text - 1);
    (void)snprintf(l.text, sizeof l.text, "%s", text);
    int rc = l.kind >= LISTEN_UNIX ? parse_listen(&l, rest, e) : 0;
    if (rc == 0)
        *(struct listen_spec *)field = l;
    return rc;
}

/* --- the tables ---------------------------------------------------------------------- */

/* offsetof, refusing to compile when the field is not of the type the parser writes. */
#define FIELD(ctype, s, f) \
    (offsetof(s, f) + 0 * sizeof(char[_Generic(((s *)0)->f, ctype : 1, default : -1)]))

#define TEXT_(s, f)  opt_text, mem_release, FIELD(char *, s, f)
#define SECRET(s, f) opt_secret, mem_release, FIELD(char *, s, f)
#define DIR_(s, f)   opt_dir, mem_release, FIELD(char *, s, f)
#define WORDS(s, f)  opt_words, mem_release, FIELD(char **, s, f)
#define ENV(s, f)    opt_env, mem_release, FIELD(char **, s, f)
#define BOOL(s, f)   opt_bool, NULL, FIELD(bool, s, f)
#define SPAN(s, f)   opt_span, NULL, FIELD(span, s, f)
#define CHOICE(s, f) opt_choice, NULL, FIELD(int, s, f)
#define SIGNAL(s, f) opt_signal, NULL, FIELD(int, s, f)
#define PROBE(s, f)  opt_probe, mem_release, FIELD(struct probe_spec *, s, f)
#define COUNT(s, f)  opt_count, NULL, FIELD(unsigned, s, f)

#define PINNACE(T, f) T(struct pinnace_conf, f)
#define MAIN(T, f)    T(struct main_conf, f)
#define ENGINE(T, f)  T(struct engine_section, f)
#define DNS(T, f)     T(struct dns_section, f)
#define NET(T, f)     T(struct net_section, f)
#define MACHINE(T, f) T(struct machine_section, f)
#define CHANNEL(T, f) T(struct channel_conf, f)
#define SVC(T, f)     T(struct svc_conf, f)

#define ALLOW_TIME  "time"
#define ALLOW_NEVER "time | never"
#define ALLOW_BOOL  "yes | no"
#define ALLOW_WORDS "words"
#define ALLOW_PROBE "probe"

/* clang-format off */
static const struct option pinnace_options[] = {
    { "log", PINNACE(CHOICE, log), "text", "text | json",
      "How lines look on the console: plain text, or one JSON object a line." },
    { "log-level", PINNACE(CHOICE, log_level), "info", "error | warn | info | debug",
      "The least important of pinnace's own lines that is still shown." },
    { "log-dir", PINNACE(DIR_, log_dir), "auto", "directory | auto | none",
      "Where each service's output is kept in NAME.log, 1 MiB and one older file of it. auto: log below the run directory." },
    { "run-dir", PINNACE(DIR_, run_dir), "auto", "directory | auto",
      "Where the socket and the file \"ready\" are. auto: /run/pinnace; without the right to make it, pinnace below $XDG_RUNTIME_DIR, or /tmp/pinnace-UID." },
    { "boot-timeout", PINNACE(SPAN, boot_timeout), "2m", ALLOW_NEVER,
      "How long the box may take to be ready." },
    { "on-boot-timeout", PINNACE(CHOICE, on_boot_timeout), "exit", "exit | stay",
      "When it is not ready by then, or a service that CMD waits for has failed for good: exit (status 124, or the failed service's own), or stay up degraded and start CMD." },
    { "grace", PINNACE(SPAN, grace), "10s", ALLOW_TIME,
      "How long the whole shutdown may take; whatever runs then is killed." },
    { "drain-delay", PINNACE(SPAN, drain_delay), "0s", ALLOW_TIME,
      "Wait this long between the signal to end and the first stop, still serving but no longer ready, so that load balancers look elsewhere. On top of grace." },
    { "ready-fd", opt_fd, NULL, FIELD(unsigned, struct pinnace_conf, ready_fd), "none", "3..1023 | none",
      "Write a newline to this inherited descriptor and close it when ready (s6 notification)." },
    { "parent-death-signal", PINNACE(SIGNAL, parent_death_signal), "none", "signal | none",
      "Not as PID 1: the signal to take when the parent process ends." },
};

static const struct option engine_options[] = {
    { "enabled", ENGINE(CHOICE, enabled), "auto", "auto | yes | no",
      "Run a container engine. auto: where a dockerd is on the PATH." },
    { "command", ENGINE(WORDS, command), "auto", "words | auto",
      "The engine. auto: dockerd-entrypoint.sh dockerd, dockerd, or dockerd-rootless.sh, whichever fits." },
    { "flags", ENGINE(WORDS, flags), "", ALLOW_WORDS,
      "More words for dockerd; quotes as in a shell, no shell." },
    { "env", ENGINE(ENV, env), "", "NAME=value ...",
      "Variables added to its environment." },
    { "after", ENGINE(WORDS, after), "", "service names",
      "Start it when these are ready." },
    { "iptables", ENGINE(CHOICE, iptables), "auto", "auto | on | off",
      "auto: off where the kernel or the rights do not allow NAT." },
    { "storage-driver", ENGINE(TEXT_, storage_driver), "auto", "name | auto",
      "auto: dockerd's own choice where overlay works, else fuse-overlayfs, else vfs." },
    { "daemon-json", ENGINE(CHOICE, daemon_json), "merge", "merge | own | off",
      "merge: add what is needed to daemon.json, what is written there wins; own: write the file anew; off: use flags only." },
    { "cgroup", ENGINE(CHOICE, cgroup), "auto", "auto | off",
      "auto: on cgroup v2 empty the root cgroup, so that limits of nested containers work." },
    { "tmpfs-tmp", ENGINE(BOOL, tmpfs_tmp), "no", ALLOW_BOOL,
      "Mount a tmpfs on /tmp. It hides what the image has there." },
    { "ready", ENGINE(PROBE, ready), "docker", ALLOW_PROBE,
      "When the engine counts as ready." },
    { "start-timeout", ENGINE(SPAN, start_timeout), "never", ALLOW_NEVER,
      "From start to ready; then it is stopped and started again. A slow engine is not a dead one: leave it." },
    { "stop-timeout", ENGINE(SPAN, stop_timeout), "20s", ALLOW_TIME,
      "From its stop signal to SIGKILL, inside the grace." },
    { "max-restarts", opt_unlimited, NULL, FIELD(unsigned, struct engine_section, max_restarts), "5", "count | unlimited",
      "Failures in a row, without 10 s of ready between, before it is left failed." },
    { "on-failure", ENGINE(CHOICE, on_failure), "stay", "stay | shutdown",
      "When it has failed for good: stay up, or end with its exit status." },
};

static const struct option dns_options[] = {
    { "mode", DNS(CHOICE, mode), "auto", "auto | dnat | forward | off",
      "forward: queries to the address below are asked of the resolvers that resolv.conf named. dnat: the kernel redirects them to the first of these, no process in between. auto: forward where an engine runs, else off." },
    { "upstream", opt_ips, NULL, FIELD(struct ip_list, struct dns_section, upstream), "auto", "addresses | auto",
      "The resolvers to ask, in this order. auto: those of resolv.conf, as they change." },
    { "address", opt_ip, NULL, FIELD(struct ip, struct dns_section, address), "auto", "IPv4 address | auto",
      "The resolver address of this box, for itself and for the engine's containers. auto: 169.254.53.53, or the next one that nobody here uses." },
};

static const struct option net_options[] = {
    { "reserve", opt_prefixes, NULL, FIELD(struct prefix_list, struct net_section, reserve), "", "subnets",
      "Subnets to keep the engine's bridge and address pools off: those of a VPN, or of engines to be nested. Those of Dagger, podman, k3s, kind and others are known." },
    { "repair", NET(CHOICE, repair), "auto", "auto | off",
      "auto: when a bridge in this box takes the uplink's subnet or its resolver's address, narrow the uplink to host routes, and let it take answers from that address." },
};

static const struct option machine_options[] = {
    { "modules", MACHINE(DIR_, modules), "/lib/modules/boot", "directory | none",
      "Kernel modules to load first, in the order of their names; what depends on another comes behind it." },
    { "network", MACHINE(CHOICE, network), "auto", "auto | off",
      "auto: bring up lo, and what ip= of the kernel's command line names." },
    { "off", MACHINE(CHOICE, off), "auto", "auto | power | reboot | halt",
      "What the end of the box is. auto: power off; with reboot=k on the command line, as Firecracker wants it, reboot." },
    { "exit-port", opt_port, NULL, FIELD(unsigned, struct machine_section, exit_port), "none", "I/O port | none",
      "Where the exit status is written to at the very end: 0x501 for QEMU's isa-debug-exit, which itself then ends with twice that plus 1." },
};

static const struct option main_options[] = {
    { "command", MAIN(WORDS, command), "", ALLOW_WORDS,
      "CMD, where none is given on the command line." },
    { "start", MAIN(CHOICE, start), "ready", "ready | now",
      "Start CMD when every service is ready, or at once." },
    { "on-exit", MAIN(CHOICE, on_exit), "shutdown", "shutdown | shutdown-on-failure | stay",
      "What the end of CMD means for the box." },
    { "user", MAIN(TEXT_, user), "", "NAME|UID[:GROUP|GID]",
      "Run CMD as this user, with its groups, HOME and USER." },
    { "cwd", MAIN(TEXT_, cwd), "", "directory",
      "Run CMD in this directory." },
    { "env", MAIN(ENV, env), "", "NAME=value ...",
      "Variables added to CMD's environment." },
    { "signal-group", MAIN(BOOL, signal_group), "no", ALLOW_BOOL,
      "Pass signals to CMD's whole process group." },
    { "map-signal", opt_signal_map, NULL, FIELD(struct signal_map, struct main_conf, map_signal), "", "FROM:TO ...",
      "Signals to change on their way to CMD; TO 0 drops them." },
    { "remap-exit", opt_statuses, NULL, FIELD(struct status_set, struct main_conf, remap_exit), "", "0..255 ...",
      "Exit statuses of CMD that count as 0." },
};

static const struct option channel_options[] = {
    { "listen", opt_listen, NULL, FIELD(struct listen_spec, struct channel_conf, listen), "auto",
      "unix:PATH | tcp:ADDRESS:PORT | vsock:PORT | fd:NAME | auto | none",
      "Where it listens. Addresses are numbers, IPv6 ones in brackets; localhost is 127.0.0.1, and * every address. fd: a socket that whoever started pinnace has passed (sd_listen_fds): its name, or its number from 0. auto: pinnace.sock in the run directory; for the channel local only, others have to say. none: nowhere." },
    { "dialect", CHANNEL(CHOICE, dialect), "native", "native | e2b | cloudflare",
      "What is spoken there: pinnace's own protocol, that of E2B's agent, for the published E2B SDKs, or that of the server in Cloudflare's sandbox containers, for the npm package @cloudflare/sandbox." },
    { "auth", CHANNEL(CHOICE, auth), "auto", "auto | peer | token | none",
      "Who may ask. peer: on unix sockets root, the user pinnace runs as, and users. token: who shows the token. none: whoever can connect, and that is whoever can do anything in this box. auto: peer on unix sockets, else token; with dialect e2b token where one is given, else none until POST /init sets one." },
    { "token", CHANNEL(SECRET, token), "", "text",
      "The token. Meant for the environment, which what the box starts does not get to see; in a file that others may read use token-file." },
    { "token-file", CHANNEL(DIR_, token_file), "", "file",
      "The file whose first line is the token." },
    { "users", CHANNEL(WORDS, users), "", "names or UIDs",
      "Who else may ask where auth is peer." },
    { "origins", CHANNEL(WORDS, origins), "", "origins",
      "Web pages that may ask, such as https://example.org; others are refused. With dialect e2b all may, unless some are named; with dialect cloudflare this holds for terminals, whose WebSockets a Worker passes on as the browser made them." },
    { "mode", opt_mode, NULL, FIELD(unsigned, struct channel_conf, mode), "0600", "octal",
      "Mode of a unix socket's file." },
    { "user", CHANNEL(TEXT_, user), "", "NAME|UID",
      "dialect e2b: whom commands and files are for where neither the request nor POST /init names anybody; else as pinnace runs. dialect cloudflare: whom all commands run as." },
    { "replay", CHANNEL(BOOL, replay), "no", ALLOW_BOOL,
      "dialect e2b: who connects to a process is given its earlier output first." },
    { "hold", CHANNEL(CHOICE, hold), "sessions", "sessions | all | nothing",
      "dialect cloudflare: what is answered only once the box is ready, or has failed to be. sessions: the making of a session, the first thing that a sandbox asks for, and commands without a session, so that the first command finds everything up. all: GET / as well, by which the platform tells that the container has started. nothing: no request waits." },
};

static const struct option service_options[] = {
    { "command", SVC(WORDS, command), NULL, ALLOW_WORDS,
      "The program and its arguments; quotes as in a shell, no shell." },
    { "oneshot", SVC(BOOL, oneshot), "no", ALLOW_BOOL,
      "A task: it is done when it has exited 0, and only then do others start after it." },
    { "after", SVC(WORDS, after), "", "service names",
      "Start when these are ready or done. Stop before them." },
    { "requires", SVC(WORDS, requires), "", "service names",
      "As after; and stop, or fail, when one of these does." },
    { "ready", SVC(PROBE, ready), "", ALLOW_PROBE,
      "When it counts as ready. Without: as soon as it has been executed." },
    { "ready-every", SVC(SPAN, ready_every), "50ms", ALLOW_TIME,
      "Pause between two tries while starting." },
    { "alive", SVC(PROBE, alive), "", ALLOW_PROBE,
      "Asked while it is ready; after alive-threshold times no in a row it is restarted." },
    { "alive-every", SVC(SPAN, alive_every), "10s", ALLOW_TIME,
      "Pause between two such questions." },
    { "alive-threshold", SVC(COUNT, alive_threshold), "3", "count",
      "Failures in a row that make it dead." },
    { "probe-timeout", SVC(SPAN, probe_timeout), "5s", ALLOW_TIME,
      "How long one try may take. What waits for a socket or file gets longer while starting." },
    { "start-timeout", SVC(SPAN, start_timeout), "never", ALLOW_NEVER,
      "From start to ready; then it is stopped, which counts as a failure." },
    { "restart", SVC(CHOICE, restart), "on-failure", "always | on-failure | never",
      "Start it again when it has ended." },
    { "max-restarts", opt_unlimited, NULL, FIELD(unsigned, struct svc_conf, max_restarts), "unlimited", "count | unlimited",
      "Failures in a row, without 10 s of ready between, before it is left failed." },
    { "backoff", opt_range, NULL, FIELD(struct span_range, struct svc_conf, backoff), "100ms..30s", "time..time",
      "Pause before a restart: from the first it doubles up to the second, less up to a tenth of jitter." },
    { "on-failure", SVC(CHOICE, on_failure), "stay", "stay | shutdown",
      "When it has failed for good: stay up, or end with its exit status." },
    { "stop-signal", SVC(SIGNAL, stop_signal), "TERM", "signal",
      "What asks it to end." },
    { "stop-timeout", SVC(SPAN, stop_timeout), "10s", ALLOW_TIME,
      "From that signal to SIGKILL for its whole group, inside the grace." },
    { "user", SVC(TEXT_, user), "", "NAME|UID[:GROUP|GID]",
      "Run as this user, with its groups, HOME and USER." },
    { "cwd", SVC(TEXT_, cwd), "/", "directory",
      "Run in this directory." },
    { "env", SVC(ENV, env), "", "NAME=value ...",
      "Variables added to its environment, which is otherwise pinnace's own." },
    { "limits", opt_limits, NULL, FIELD(struct limits, struct svc_conf, limits), "", "NAME=SOFT[:HARD] ...",
      "Resource limits by their names in docker run --ulimit: nofile=1048576 core=0." },
    { "oom-score-adj", opt_oom, NULL, FIELD(int, struct svc_conf, oom_score_adj), "inherit", "-1000..1000 | inherit",
      "How gladly the kernel kills it when memory is short." },
    { "log", SVC(CHOICE, log), "both", "both | console | file | none",
      "Where its output goes, besides its log probe." },
};
/* clang-format on */

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
_Static_assert(COUNT_OF(service_options) <= CONF_MAX_OPTIONS, "given[] has one entry an option");

const struct section sections[NSECTIONS] = {
    [SECTION_PINNACE] = { "pinnace", pinnace_options, COUNT_OF(pinnace_options),
                          "The box itself." },
    [SECTION_ENGINE] = { "engine", engine_options, COUNT_OF(engine_options),
                         "The container engine, a service with a preset. Its name is engine." },
    [SECTION_DNS] = { "dns", dns_options, COUNT_OF(dns_options),
                      "Name resolution that survives nested engines." },
    [SECTION_NET] = { "net", net_options, COUNT_OF(net_options), "The network around the box." },
    [SECTION_MACHINE] = { "machine", machine_options, COUNT_OF(machine_options),
                          "Where pinnace is the first process of a kernel, in a virtual machine. "
                          "Elsewhere none of this is done." },
    [SECTION_MAIN] = { "main", main_options, COUNT_OF(main_options),
                       "CMD: the process the box exists for. Its name is main." },
    [SECTION_CHANNEL] = { "channel", channel_options, COUNT_OF(channel_options),
                          "Where the box is driven from, one section each. The channel local is "
                          "there without being written." },
    [SECTION_SERVICE] = { "service", service_options, COUNT_OF(service_options),
                          "A service, one section each." },
};

int option_find(const struct section *s, const char *key) {
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->options[i].key, key) == 0)
            return (int)i;
    return -1;
}

int option_set(const struct option *o, void *base, const char *text, struct err *e) {
    return o->parse(o, text, (char *)base + o->offset, e);
}

void section_release(const struct section *s, void *base) {
    struct conf_given *given = base;
    for (size_t i = 0; i < s->n; i++) {
        const struct option *o = &s->options[i];
        if (o->release)
            o->release((char *)base + o->offset);
        mem_release(&given[i].text);
    }
}
