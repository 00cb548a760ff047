/* doctor.c — `pinnace doctor`: each finding, what collides with what, what is done about it. */
#include "cli/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "net/survey.h"
#include "pid1/box.h"

extern char **environ;

enum { MAX_ROWS = NET_MAX_FINDINGS + MAX_FINDINGS, ROW_TEXT = 300 };

/* Exit statuses, the worst finding's. */
enum { DOCTOR_WELL = 0, DOCTOR_WARNING = 1, DOCTOR_PROBLEM = 2 };

struct row {
    const char *subject;
    enum log_level level;
    char text[ROW_TEXT];
};

struct report {
    struct row rows[MAX_ROWS];
    size_t n;
};

static void add_row(struct report *r, const char *subject, enum log_level level, const char *text) {
    if (r->n == MAX_ROWS)
        return;
    struct row *row = &r->rows[r->n++];
    row->subject = subject;
    row->level = level;
    (void)snprintf(row->text, sizeof row->text, "%s", text);
}

static void add_engine_row(void *report, enum log_level level, const char *text) {
    add_row(report, "engine", level, text);
}

/* --- examine ---------------------------------------------------------------------------------- */

/* Is what the plan says in force? Only asked where our resolv.conf or address is found. */
static void examine_state(struct examination *x) {
    char text[IP_TEXT], counts[200];
    const struct net_box *b = &x->box;
    const struct rtnl_link *owner = net_owner(&x->facts.table, &b->vip);
    (void)ip_text(&b->vip, text);
    if (!b->active || !(owner && owner->loopback)) {
        if (b->active)
            findings_add(&x->findings, LOG_INFO,
                         "pinnace does not answer here yet: this is what it would do");
        return;
    }
    if (b->nft && nft_check(&x->plan.rules, NULL) == 0)
        findings_add(
            &x->findings, LOG_ERROR,
            "the nf_tables table `pinnace` is missing or incomplete: is role net running?");
    if (b->resolv && !x->facts.resolv.ours)
        findings_add(&x->findings, LOG_ERROR, RESOLV_CONF " does not name %s", text);
    if (x->plan.dnat)
        return;
    if (trace_forwarder(&b->vip, counts, sizeof counts))
        findings_add(&x->findings, LOG_INFO, "the forwarder answers on %s: %s", text, counts);
    else
        findings_add(&x->findings, LOG_ERROR, "the forwarder does not answer on %s", text);
}

static int examine(struct examination *x, const struct conf *conf, struct engine_subnets *subnets,
                   struct err *e) {
    bool engine = box_wants_engine(conf, (const char *const *)conf->main.command);
    struct engine_conf ec = engine_conf(conf);
    network_conf(&x->conf, conf, engine);
    if (engine)
        engine_find_subnets(&ec, subnets);
    network_know(&x->conf, subnets);
    int rc = net_survey(&x->facts, e);
    if (rc < 0)
        return rc;
    if (x->facts.resolv.ours && !x->facts.admin) {
        /* The box has rights that whoever asks here has not. */
        x->facts.admin = x->facts.resolv_writable = true;
        x->facts.nft = x->facts.nft == NFT_DENIED ? NFT_USABLE : x->facts.nft;
    }
    net_choose(&x->box, &x->facts, &x->conf, &x->findings);
    x->box.port = x->box.nft ? NET_FORWARDER_PORT : 53;
    x->box.port6 = ip_is_none(&x->box.vip6) ? 0 : NET_FORWARDER_PORT;
    net_plan(&x->plan, &x->facts, &x->conf, &x->box);
    net_explain(&x->findings, &x->facts, &x->conf, &x->box, &x->plan);
    for (size_t i = 0; i < x->plan.findings.n; i++)
        findings_add(&x->findings, x->plan.findings.v[i].level, "%s", x->plan.findings.v[i].text);
    examine_state(x);
    return 0;
}

static void examine_engine(const struct examination *x, const struct conf *conf,
                           struct report *report) {
    struct err e = { 0 };
    struct net_advice advice;
    struct engine_network network;
    struct engine_conf ec = engine_conf(conf);
    if (!box_wants_engine(conf, (const char *const *)conf->main.command)) {
        add_row(report, "engine", LOG_INFO, "no engine is started in this box");
        return;
    }
    net_advise(&advice, &x->facts, &x->conf, &x->box);
    network_advise(&network, &advice);
    if (engine_examine(&ec, &network, add_engine_row, report, &e) < 0)
        add_row(report, "engine", LOG_ERROR, e.text);
}

/* --- print ---------------------------------------------------------------------------------- */

static const char *level_name(enum log_level level) {
    return level == LOG_ERROR ? "problem" : level == LOG_WARN ? "warning" : "ok";
}

static int verdict(const struct report *r) {
    int worst = DOCTOR_WELL;
    for (size_t i = 0; i < r->n; i++) {
        int now = r->rows[i].level == LOG_ERROR  ? DOCTOR_PROBLEM
                  : r->rows[i].level == LOG_WARN ? DOCTOR_WARNING
                                                 : DOCTOR_WELL;
        worst = now > worst ? now : worst;
    }
    return worst;
}

static void print_table(const struct report *r) {
    for (size_t i = 0; i < r->n; i++)
        (void)printf("%-8s %-7s %s\n", level_name(r->rows[i].level), r->rows[i].subject,
                     r->rows[i].text);
}

static void print_json(const struct report *r) {
    char buf[6 * ROW_TEXT + 3];
    (void)printf("{\"status\":%d,\"findings\":[", verdict(r));
    for (size_t i = 0; i < r->n; i++) {
        struct text t = TEXT(buf);
        text_json(&t, r->rows[i].text, strlen(r->rows[i].text));
        (void)printf("%s\n{\"level\":\"%s\",\"subject\":\"%s\",\"text\":%s}", i ? "," : "",
                     level_name(r->rows[i].level), r->rows[i].subject, buf);
    }
    (void)printf("\n]}\n");
}

/* --- the verb -------------------------------------------------------------------------------- */

static int run(const struct args *a, const struct conf *conf, struct examination *x) {
    struct err e = { 0 };
    struct report report = { .n = 0 };
    struct engine_subnets subnets = { .n = 0 };
    if (examine(x, conf, &subnets, &e) < 0)
        add_row(&report, "net", LOG_ERROR, e.text);
    else if (args_has(a, "explain"))
        return trace_dns(x, a->nwords ? a->words[0] : "example.com");
    for (size_t i = 0; i < x->findings.n; i++)
        add_row(&report, "net", x->findings.v[i].level, x->findings.v[i].text);
    examine_engine(x, conf, &report);
    if (args_has(a, "json"))
        print_json(&report);
    else
        print_table(&report);
    return verdict(&report);
}

int verb_doctor(const struct args *a) {
    struct conf conf;
    struct err e = { 0 };
    const char *explain = args_value(a, "explain");
    if (explain && strcmp(explain, "dns") != 0)
        return cli_usage(a, "'%s' is not dns", explain);
    if (a->nwords && !explain)
        return cli_usage(a, "NAME is for --explain dns");
    if (conf_load(&conf, args_value(a, "config"), environ, &e) < 0) {
        (void)cli_fail(&e);
        return DOCTOR_PROBLEM;
    }
    AUTO_FREE struct examination *x = calloc(1, sizeof *x);
    int rc = x ? run(a, &conf, x) : DOCTOR_PROBLEM;
    conf_free(&conf);
    return rc;
}
