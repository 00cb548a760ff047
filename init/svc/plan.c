#include "svc/plan.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

static int unit_find(struct svc_conf *const *confs, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(confs[i]->name, name) == 0)
            return (int)i;
    return -1;
}

static int resolve(struct unit_set *into, char *const *names, struct svc_conf *const *confs,
                   size_t n, struct err *e) {
    for (; names && *names; names++) {
        int i = unit_find(confs, n, *names);
        if (i < 0) {
            const char *known[MAX_UNITS];
            for (size_t k = 0; k < n; k++)
                known[k] = confs[k]->name;
            const char *near = nearest(*names, known, n);
            return err_set(e, EINVAL, "there is no service '%.40s'%s%s%s", *names,
                           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
        }
        unit_add(into, (size_t)i);
    }
    return 0;
}

/* Depth-first search; `path` is the chain of units from the first to the current one. */
struct search {
    struct svc_plan *plan;
    struct svc_conf *const *confs;
    uint8_t mark[MAX_UNITS]; /* 0 new, 1 on the path, 2 placed */
    size_t path[MAX_UNITS], depth, placed;
    struct err *e;
};

static int name_cycle(const struct search *s, size_t back_to) {
    char chain[200];
    struct text t = TEXT(chain);
    size_t from = 0;
    while (s->path[from] != back_to)
        from++;
    for (size_t i = from; i < s->depth; i++)
        text_add(&t, "%s -> ", s->confs[s->path[i]]->name);
    text_add(&t, "%s", s->confs[back_to]->name);
    (void)err_set(s->e, EINVAL, "%s wait for each other; drop one `after` or `requires` of these",
                  chain);
    size_t last = s->path[s->depth - 1];
    bool needs = unit_in(&s->plan->requires[last], back_to);
    return err_at(s->e, svc_conf_place(s->confs[last], needs ? "requires" : "after"));
}

/* Recursion depth is bounded by MAX_UNITS. */
static int visit(struct search *s, size_t i) {
    if (s->mark[i] == 2)
        return 0;
    if (s->mark[i] == 1)
        return name_cycle(s, i);
    s->mark[i] = 1;
    s->path[s->depth++] = i;
    for (size_t k = 0; k < s->plan->n; k++)
        if (unit_in(&s->plan->after[i], k) && visit(s, k) < 0)
            return -EINVAL;
    s->depth--;
    s->mark[i] = 2;
    s->plan->order[s->placed++] = i;
    return 0;
}

static int resolve_all(struct svc_plan *plan, size_t i, struct svc_conf *const *confs, size_t n,
                       struct err *e) {
    const char *key = "requires";
    int rc = resolve(&plan->requires[i], confs[i] -> requires, confs, n, e);
    plan->after[i] = plan->requires[i];
    if (rc == 0) {
        key = "after";
        rc = resolve(&plan->after[i], confs[i]->after, confs, n, e);
    }
    if (rc == 0)
        return 0;
    (void)err_wrap(e, "%s.%s", confs[i]->name, key);
    return err_at(e, svc_conf_place(confs[i], key));
}

int svc_plan(struct svc_plan *plan, struct svc_conf *const *confs, size_t n, struct err *e) {
    *plan = (struct svc_plan){ .n = n };
    for (size_t i = 0; i < n; i++)
        if (resolve_all(plan, i, confs, n, e) < 0)
            return -e->code;
    struct search s = { .plan = plan, .confs = confs, .e = e };
    for (size_t i = 0; i < n; i++)
        if (visit(&s, i) < 0)
            return -EINVAL;
    return 0;
}
