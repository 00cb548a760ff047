/* completion.c — `pinnace completion`: for each shell a script that is made of the tables of verbs.
 * Names of units and jobs are asked of `pinnace ps -q` when they are wanted. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* Call for each option of a verb, those of all verbs too. */
static void each_option(const struct verb *v,
                        void (*print)(const struct verb *, const struct option *)) {
    for (const struct option *o = v->options; o && o->name; o++)
        print(v, o);
    if (v->flags & VERB_REMOTE)
        print(v, &option_host);
    if (!(v->flags & VERB_RAW))
        print(v, &option_help);
}

static bool takes_value(const struct option *o) { return o->arg && o->arg[0] != '['; }
static bool is_file(const char *arg) {
    return arg && (!strcmp(arg, "FILE") || !strcmp(arg, "DIR"));
}

/* What is printed goes into single quotes: no text of the tables has one in it, or a backslash. */
static void print_verbs(const char *sep) {
    const struct verb *v;
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++)
        (void)printf("%s%s", i ? sep : "", v->name);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_option(const struct verb *v, const struct option *o) {
    (void)v;
    (void)printf(" --%s", o->name);
    if (o->brief)
        (void)printf(" -%c", o->brief);
}

static void bash_value(const struct verb *v, const struct option *o) {
    (void)v;
    if (takes_value(o))
        (void)printf("%s--%s%s", is_file(o->arg) ? " f:" : " x:", o->name, "");
    if (takes_value(o) && o->brief)
        (void)printf("%s-%c", is_file(o->arg) ? " f:" : " x:", o->brief);
}

static const char bash_head[] =
    "# bash completion for pinnace; . <(pinnace completion bash)\n"
    "_pinnace() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
    "    local opts= values= kind= host=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        -H|--host) host=(-H \"${COMP_WORDS[++i]}\") ;;\n"
    "        -*) ;;\n"
    "        *) verb=${COMP_WORDS[i]}; break ;;\n"
    "        esac\n"
    "    done\n"
    "    COMPREPLY=()\n"
    "    case $verb in\n";

static const char bash_tail[] =
    "    esac\n"
    "    case \" $values \" in\n"
    "    *\" f:$prev \"*) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
    "    *\" x:$prev \"*) return ;;\n"
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case $kind in\n"
    "    file) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "    command) COMPREPLY=($(compgen -c -- \"$cur\")) ;;\n"
    "    names) COMPREPLY=($(compgen -W \"$(pinnace \"${host[@]}\" ps -q 2>/dev/null)\" -- "
    "\"$cur\")) ;;\n"
    "    words:*) COMPREPLY=($(compgen -W \"${kind#words:}\" -- \"$cur\")) ;;\n"
    "    esac\n"
    "}\n"
    "complete -o filenames -F _pinnace pinnace\n";

static const char *bash_kind(const struct verb *v) {
    static const char *const kinds[] = {
        [WORD_NONE] = "",       [WORD_FILE] = "file",
        [WORD_UNIT] = "names",  [WORD_JOB] = "names",
        [WORD_NAME] = "names",  [WORD_COMMAND] = "command",
        [WORD_VERB] = "words:", [WORD_SHELL] = "words:bash zsh fish",
    };
    return kinds[v->kind];
}

static void print_bash(void) {
    const struct verb *v;
    (void)fputs(bash_head, stdout);
    (void)fputs("    '') opts='-H --host --help --version'; kind='words:", stdout);
    print_verbs(" ");
    (void)fputs("' ;;\n", stdout);
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        (void)printf("    %s) opts='", v->name);
        each_option(v, bash_option);
        (void)fputs("' values='", stdout);
        each_option(v, bash_value);
        (void)printf("' kind='%s", bash_kind(v));
        if (v->kind == WORD_VERB)
            print_verbs(" ");
        (void)fputs("' ;;\n", stdout);
    }
    (void)fputs(bash_tail, stdout);
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Brackets and colons mean something in a specification of _arguments. */
static void zsh_text(const char *s) {
    for (; *s; s++) {
        if (strchr("[]:", *s))
            (void)putchar('\\');
        (void)putchar(*s);
    }
}

static void zsh_one(const struct option *o, const char *dashes, const char *name, int len) {
    (void)printf(" \\\n            '*%s%.*s%s[", dashes, len, name,
                 takes_value(o) && len > 1 ? "="
                 : takes_value(o)          ? "+"
                                           : "");
    zsh_text(o->help);
    (void)putchar(']');
    if (takes_value(o)) {
        (void)putchar(':');
        zsh_text(o->arg);
        (void)fputs(is_file(o->arg) ? ":_files" : ": ", stdout);
    }
    (void)putchar('\'');
}

static void zsh_option(const struct verb *v, const struct option *o) {
    (void)v;
    zsh_one(o, "--", o->name, (int)strlen(o->name));
    if (o->brief)
        zsh_one(o, "-", &o->brief, 1);
}

static const char *zsh_kind(const struct verb *v) {
    static const char *const kinds[] = {
        [WORD_NONE] = "",
        [WORD_FILE] = "'*:file:_files'",
        [WORD_UNIT] = "'*:unit:_pinnace_names'",
        [WORD_JOB] = "'*:job:_pinnace_names'",
        [WORD_NAME] = "'*:name:_pinnace_names'",
        [WORD_COMMAND] = "'(-):command:_command_names -e' '*::arguments:_normal'",
        [WORD_VERB] = "'1:verb:_pinnace_verbs'",
        [WORD_SHELL] = "'1:shell:(bash zsh fish)'",
    };
    return kinds[v->kind];
}

static void print_zsh(void) {
    const struct verb *v;
    (void)fputs("#compdef pinnace\n"
                "# zsh completion for pinnace; as _pinnace in a directory of $fpath\n"
                "_pinnace_names() {\n"
                "    local -a names\n"
                "    names=(${(f)\"$(pinnace ps -q 2>/dev/null)\"})\n"
                "    compadd -a names\n"
                "}\n"
                "_pinnace_verbs() {\n"
                "    local -a verbs\n"
                "    verbs=(\n",
                stdout);
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        (void)printf("        '%s:", v->name);
        zsh_text(v->help);
        (void)fputs("'\n", stdout);
    }
    (void)fputs("    )\n"
                "    _describe verb verbs\n"
                "}\n"
                "_pinnace() {\n"
                "    local curcontext=$curcontext state line\n"
                "    _arguments -C '(-H --host)'{-H,--host}'[which pinnace]:host: ' \\\n"
                "        '1:verb:_pinnace_verbs' '*::arg:->args'\n"
                "    [[ $state == args ]] || return\n"
                "    case $words[1] in\n",
                stdout);
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        (void)printf("    %s)\n        _arguments -s", v->name);
        each_option(v, zsh_option);
        (void)printf(" \\\n            %s\n        ;;\n", zsh_kind(v));
    }
    (void)fputs("    esac\n}\n_pinnace \"$@\"\n", stdout);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_option(const struct verb *v, const struct option *o) {
    (void)printf("complete -c pinnace -n '__fish_seen_subcommand_from %s' -l %s", v->name, o->name);
    if (o->brief)
        (void)printf(" -s %c", o->brief);
    if (takes_value(o))
        (void)fputs(is_file(o->arg) ? " -r -F" : " -x", stdout);
    (void)printf(" -d '%s'\n", o->help);
}

static void print_fish(void) {
    static const char *const kinds[] = {
        [WORD_NONE] = "",
        [WORD_FILE] = "-F",
        [WORD_UNIT] = "-a '(pinnace ps -q 2>/dev/null)'",
        [WORD_JOB] = "-a '(pinnace ps -q 2>/dev/null)'",
        [WORD_NAME] = "-a '(pinnace ps -q 2>/dev/null)'",
        [WORD_COMMAND] = "-a '(__fish_complete_subcommand)'",
        [WORD_VERB] = "-a \"$__pinnace_verbs\"",
        [WORD_SHELL] = "-a 'bash zsh fish'",
    };
    const struct verb *v;
    (void)fputs("# fish completion for pinnace; as completions/pinnace.fish\n"
                "set -g __pinnace_verbs ",
                stdout);
    print_verbs(" ");
    (void)fputs("\ncomplete -c pinnace -f\n"
                "complete -c pinnace -n 'not __fish_seen_subcommand_from $__pinnace_verbs' "
                "-l host -s H -x -d 'which pinnace'\n",
                stdout);
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        (void)printf("complete -c pinnace -n 'not __fish_seen_subcommand_from $__pinnace_verbs' "
                     "-a %s -d '%s'\n",
                     v->name, v->help);
        each_option(v, fish_option);
        if (kinds[v->kind][0])
            (void)printf("complete -c pinnace -n '__fish_seen_subcommand_from %s' %s\n", v->name,
                         kinds[v->kind]);
    }
}

int verb_completion(const struct args *a) {
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(a->words[0], shells[i].name) == 0) {
            shells[i].print();
            return CLI_OK;
        }
    return cli_usage(a, "'%s' is not bash, zsh or fish", a->words[0]);
}
