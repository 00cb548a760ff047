#include "svc/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "tests/unit/tap.h"

static struct svc_conf units[MAX_UNITS], *confs[MAX_UNITS];
static struct svc_plan plan;
static struct err err;

/* "name:after after/requires": a unit each; how many. */
static size_t make(const char *const *lines) {
    size_t n = 0;
    for (; lines[n]; n++) {
        char text[256];
        size_t k;
        (void)snprintf(text, sizeof text, "%s", lines[n]);
        char *after = strchr(text, ':'), *requires = strchr(text, '/');
        *after++ = '\0';
        *requires ++ = '\0';
        units[n] = (struct svc_conf){ 0 };
        (void)snprintf(units[n].name, MAX_NAME, "%.31s", text);
        (void)split_words(after, &units[n].after, &k, &err);
        (void)split_words(requires, &units[n].requires, &k, &err);
        confs[n] = &units[n];
    }
    return n;
}

static int solve(const char *const *lines) {
    size_t n = make(lines);
    err = (struct err){ 0 };
    int rc = svc_plan(&plan, confs, n, &err);
    for (size_t i = 0; i < n; i++) {
        mem_release(&units[i].after);
        mem_release(&units[i].requires);
    }
    return rc;
}
#define SOLVE(...) solve((const char *const[]){ __VA_ARGS__, NULL })

static const char *order(void) {
    static char buf[256];
    struct text t = TEXT(buf);
    buf[0] = '\0';
    for (size_t i = 0; i < plan.n; i++)
        text_add(&t, "%s%s", i ? " " : "", units[plan.order[i]].name);
    return buf;
}

static void orders(void) {
    OK(SOLVE("a:/", "b:/", "c:/") == 0 && strcmp(order(), "a b c") == 0, "as written: %s", order());
    OK(SOLVE("a:b/", "b:c/", "c:/") == 0 && strcmp(order(), "c b a") == 0, "a chain: %s", order());
    OK(SOLVE("a:/b", "b:/") == 0 && strcmp(order(), "b a") == 0, "requires orders: %s", order());
    OK(unit_in(&plan.after[0], 1) && unit_in(&plan.requires[0], 1) && !unit_in(&plan.after[1], 0),
       "requires is an after too");
    OK(SOLVE("a:b/", "b:/") == 0 && unit_in(&plan.after[0], 1) && !unit_in(&plan.requires[0], 1),
       "after is no requires");
    OK(SOLVE("d:b c/", "b:a/", "c:a/", "a:/") == 0 && strcmp(order(), "a b c d") == 0,
       "a diamond: %s", order());
    OK(SOLVE("a:b b/b", "b:/") == 0 && strcmp(order(), "b a") == 0, "the same name often");
    OK(svc_plan(&plan, confs, 0, &err) == 0 && plan.n == 0, "no units");
    confs[0] = &units[0];
    units[0] = (struct svc_conf){ .name = "a" };
    OK(svc_plan(&plan, confs, 1, &err) == 0 && plan.order[0] == 0, "lists that are NULL");
}

static void names_cycles(void) {
    OK(SOLVE("a:a/", "b:/") == -EINVAL &&
           strcmp(err.text,
                  "a -> a wait for each other; drop one `after` or `requires` of these") == 0,
       "itself: %s", err.text);
    OK(SOLVE("a:b/", "b:/a") == -EINVAL && strstr(err.text, "a -> b -> a wait") == err.text,
       "two: %s", err.text);
    OK(SOLVE("x:a/", "a:b/", "b:c/", "c:a/") == -EINVAL &&
           strstr(err.text, "a -> b -> c -> a wait") == err.text,
       "only those of the cycle are named: %s", err.text);
}

static void refuses_unknown_names(void) {
    OK(SOLVE("web:postgers/", "postgres:/") == -EINVAL &&
           strcmp(err.text, "web.after: there is no service 'postgers' (did you mean postgres?)") ==
               0,
       "after: %s", err.text);
    OK(SOLVE("web:/qqqqqq", "postgres:/") == -EINVAL &&
           strcmp(err.text, "web.requires: there is no service 'qqqqqq'") == 0,
       "requires: %s", err.text);
}

static void says_where(void) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "[service a]\ncommand = x\nafter = b c\n[service b]\ncommand = x\n",
          "a.ini:3: a.after: there is no service 'c' (did you mean a?)" },
        { "[service a]\ncommand = x\n[service b]\ncommand = x\n\nrequires = qqqq\n",
          "a.ini:6: b.requires: there is no service 'qqqq'" },
        { "[service a]\ncommand = x\nafter = b\n[service b]\nrequires = a\ncommand = x\n",
          "a.ini:5: a -> b -> a wait for each other; drop one `after` or `requires` of these" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conf c;
        OK(conf_begin(&c, &err) == 0 && conf_add_text(&c, "a.ini", rows[i].text, &err) == 0 &&
               conf_finish(&c, &err) == 0,
           "a config: %s", err.text);
        int rc = svc_plan(&plan, c.services, c.nservices, &err);
        OK(rc == -EINVAL && strcmp(err.text, rows[i].message) == 0, "says: %s", err.text);
        conf_free(&c);
    }
}

/* Every unit after the next one: the deepest search there can be. */
static void takes_the_most_units(void) {
    static char names[MAX_UNITS][MAX_NAME];
    static char *after[MAX_UNITS][2];
    for (size_t i = 0; i < MAX_UNITS; i++) {
        (void)snprintf(names[i], MAX_NAME, "unit-with-quite-a-long-name-%zu", i);
        units[i] = (struct svc_conf){ 0 };
        memcpy(units[i].name, names[i], MAX_NAME);
        after[i][0] = i + 1 < MAX_UNITS ? names[i + 1] : NULL;
        units[i].after = after[i];
        confs[i] = &units[i];
    }
    OK(svc_plan(&plan, confs, MAX_UNITS, &err) == 0, "%d units in a chain", MAX_UNITS);
    bool backwards = true;
    for (size_t i = 0; i < MAX_UNITS; i++)
        backwards = backwards && plan.order[i] == MAX_UNITS - 1 - i;
    OK(backwards, "the last one first");
    after[MAX_UNITS - 1][0] = names[0];
    OK(svc_plan(&plan, confs, MAX_UNITS, &err) == -EINVAL &&
           strstr(err.text, "unit-with-quite-a-long-name-0 -> ") == err.text &&
           strstr(err.text, "wait for each other; drop one"),
       "a cycle of all is cut, the advice is not: %s", err.text);
    after[MAX_UNITS - 1][0] = NULL;
}

/* For seeded graphs without cycles: everything comes after what it waits for. */
static void order_holds_for_any_graph(unsigned seed) {
    static char *after[MAX_UNITS][MAX_UNITS + 1];
    srand(seed);
    for (size_t i = 0; i < MAX_UNITS; i++) {
        size_t k = 0;
        for (size_t j = 0; j < i; j++)
            if (rand() % 10 == 0)
                after[i][k++] = units[(j * 37) % MAX_UNITS].name;
        after[i][k] = NULL;
        units[(i * 37) % MAX_UNITS].after = after[i];
    }
    size_t at[MAX_UNITS];
    bool good = svc_plan(&plan, confs, MAX_UNITS, &err) == 0;
    for (size_t i = 0; i < MAX_UNITS; i++)
        at[plan.order[i]] = i;
    for (size_t i = 0; i < MAX_UNITS; i++)
        for (size_t k = 0; k < MAX_UNITS; k++)
            good = good && (!unit_in(&plan.after[i], k) || at[k] < at[i]);
    OK(good, "seed %u: order keeps to every edge", seed);
}

int main(void) {
    orders();
    names_cycles();
    refuses_unknown_names();
    says_where();
    takes_the_most_units();
    for (unsigned seed = 1; seed <= 10; seed++)
        order_holds_for_any_graph(seed);
    return tap_end();
}
