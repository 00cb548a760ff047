/* config.c — `pinnace check` and `pinnace config`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "conf/conf.h"
#include "svc/plan.h"

extern char **environ;

static void print_line(void *arg, const char *line) {
    (void)arg;
    (void)puts(line);
}

/* What start_box() would find wrong: values, names, cycles. Engine and CMD are in the plan
 * as they would be. */
static int check_plan(const struct conf *c, struct err *e) {
    struct svc_conf *confs[MAX_UNITS];
    struct svc_plan plan;
    size_t n = 0;
    for (; n < c->nservices; n++)
        confs[n] = c->services[n];
    struct svc_conf *engine = svc_conf_new("engine", e);
    if (!engine)
        return -e->code;
    struct svc_conf *cmd = svc_conf_new("main", e);
    if (!cmd) {
        svc_conf_free(engine);
        return -e->code;
    }
    char **after = engine->after;
    engine->after = c->engine.after;
    engine->place = conf_engine_after(c);
    confs[n++] = engine;
    confs[n++] = cmd;
    int rc = svc_plan(&plan, confs, n, e);
    for (size_t i = 0; i < n && rc == 0 && c->main.start == START_READY; i++)
        if (unit_in(&plan.after[i], n - 1)) {
            (void)err_set(e, EINVAL, "%s.after: CMD itself waits for %s; set [main] start = now",
                          confs[i]->name, confs[i]->name);
            rc = err_at(e, svc_conf_place(confs[i], "after"));
        }
    engine->after = after;
    svc_conf_free(engine);
    svc_conf_free(cmd);
    return rc;
}

static int load(const char *path, struct conf *c) {
    struct err e = { 0 };
    if (conf_load(c, path, environ, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        return CLI_NO;
    }
    if (check_plan(c, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        conf_free(c);
        return CLI_NO;
    }
    return CLI_OK;
}

int verb_check(const struct args *a) {
    struct conf c;
    if (load(a->words[0], &c) != CLI_OK)
        return CLI_NO;
    (void)printf("ok: %zu service%s, from", c.nservices, c.nservices == 1 ? "" : "s");
    for (size_t i = 0; i < c.nsources; i++)
        (void)printf("%s %s", i ? "," : "", c.sources[i]);
    (void)printf("\n");
    conf_free(&c);
    return CLI_OK;
}

int verb_config(const struct args *a) {
    struct conf c;
    if (a->ngiven != 1 || (a->nwords && !args_has(a, "dump")))
        return cli_usage(a, "one of --dump [FILE], --help, --mdoc is wanted");
    if (args_has(a, "mdoc"))
        conf_mdoc(print_line, NULL);
    else if (args_has(a, "help"))
        conf_help(print_line, NULL);
    if (!args_has(a, "dump"))
        return CLI_OK;
    if (load(a->words[0], &c) != CLI_OK)
        return CLI_NO;
    conf_dump(&c, print_line, NULL);
    conf_free(&c);
    return CLI_OK;
}
