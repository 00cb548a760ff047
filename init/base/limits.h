/* limits.h — every bound in pinnace: value, unit, and what happens at it. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    MAX_SERVICES = 128,                /* services: a config error names the first one too many */
    MAX_NAME = 32,                     /* bytes of a service name, NUL included; config error */
    MAX_SPAN_DAYS = 36500,             /* the longest time that can be written; config error */
    MAX_WORDS = 256,                   /* words of one command or list; config error */
    MAX_CONF_FILES = 64,               /* files in pinnace.d; config error */
    MAX_INI_LINE = 4096,               /* bytes of one INI line; config error with its number */
    MAX_ENV_VALUE = MAX_INI_LINE - 64, /* bytes of PINNACE_...=value; config error */
    MAX_CONF_FILE = 1 << 20,           /* bytes of one INI file; config error */
    MAX_STOPPED_CONTAINERS = 256,      /* containers stopped before the engine; the rest by it */
    MAX_CONTAINER_LIST = 4 << 20,      /* bytes of the engine's list; more: the engine stops all */
    MAX_PROBE_SPEC = 1024,             /* bytes of a probe spec; config error */
    MAX_PROBE_REASON = 200,            /* bytes of a probe's reason kept for status; cut */
    MAX_PROBE_OUTPUT = 4096,           /* bytes read of a probe's answer; the rest is not read */
    MAX_PROBE_HEAD = 16384,   /* bytes of an HTTP answer before its body; the probe says no */
    MAX_PROBE_ADDRS = 8,      /* addresses of one name that are tried; later ones are not */
    MAX_PROBE_HOST = 256,     /* bytes of a host name, NUL included (RFC 1035: 253); config error */
    MAX_NAMESERVERS = 3,      /* of resolv.conf, as in resolv.conf(5); later ones are not asked */
    MAX_UPSTREAMS = 8,        /* resolvers the forwarder asks; later ones are not used, says so */
    MAX_DNS_IN_FLIGHT = 1024, /* queries being asked at once; further ones get SERVFAIL */
    MAX_DNS_PER_CLIENT = 256, /* of them for one client address; further ones get SERVFAIL */
    MAX_DNS_TCP = 64,         /* DNS clients on TCP at once; the idlest makes room */
    MAX_OUTER_LINKS = 8,      /* links whose queries are refused; the uplink first, says so */
    MAX_RESOLV_CONF = 65536,  /* bytes of resolv.conf; larger: left alone, says so */
    MAX_SUBNETS = 64,         /* subnets the user has set or reserved; config error */
    MAX_POOLS = 4,            /* default-address-pools of ours */
    MAX_NEEDED = 16,          /* addresses that containers are kept off; they may get later ones */
    MAX_MARKS = 512,          /* timeline entries; later ones are counted, not kept */
    MAX_ENGINE_WORDS = 64,    /* words of the engine's command; prepare fails, says so */
    MAX_ENGINE_TEXT = 8192,   /* bytes of those words; prepare fails, says so */
    MAX_LOG_LINE = 16384,     /* bytes of a service's line; longer ones are split */
    LOG_FILE_BYTES = 1 << 20, /* bytes of a log file before it is rotated; one old kept */
    MAX_REQUEST = 8192,       /* bytes of an HTTP request head; 431 */
    MAX_CONNECTIONS = 1024,   /* clients of all channels; the longest idle makes room, or 503 */
    MAX_CHANNELS = 16,        /* [channel] sections; config error */
    MAX_JOBS = 4096,          /* jobs that run or are kept; 429 */
    MAX_JOB_WORDS = 65536,    /* words of a job's command; 400. Below what execve(2) takes */
    MAX_JOB_ENV = 4096,       /* variables that a job adds to the box's or removes; 400 */
    JOB_RECORD_BYTES = 1024, /* of a job's record that outlives the channel; longer words are cut */
    MAX_JOBS_ENDED = 1024,   /* ended jobs that are kept; the oldest are forgotten */
    MAX_JOB_OUTPUT = 64 << 20, /* bytes of output of one job that can be kept; 400 */
    JOB_OUTPUT = 1 << 20,      /* the same where nothing is said; older bytes are overwritten */
    MAX_HEARD = 128,     /* messages of a role heard in a turn of the loop; then others' turn */
    MAX_ASKED = 64,      /* requests for units that PID 1 has not answered; 429 */
    MAX_OWN_FDS = 65536, /* PID 1's own RLIMIT_NOFILE, where the hard one allows as many */
    SPARE_FDS = 64,      /* of them never given to jobs: such a job is held without its fds */
    MAX_OUTPUT_KEPT = 64 << 20, /* bytes of output of all ended jobs; the oldest jobs lose theirs */
    MAX_RING_RUNS = 4096,       /* changes between stdout and stderr kept per job; older bytes go */
    MAX_BOUNDARY = 70,          /* bytes of a multipart body's boundary (RFC 2046 5.1.1); 400 */
    MAX_PART_HEAD = 8192,       /* bytes of the head of one of its parts; 400 */
    MAX_PARTS = 10000,          /* of its parts; 400 */
    MAX_UPLOAD_ANSWER = 8 << 20, /* bytes of what is told of the files of one upload; 400 */
    MAX_METADATA = 4096,         /* bytes of names and values of a file's metadata (E2B's); 400 */
    MAX_METADATA_KEY = 246,      /* bytes of one key, so that with a prefix it has 255; 400 */
    MAX_COMPOSED = 10000,        /* files that are put together in one request; 400 */
    FAR_US = 3000,               /* us of round trip; nearer: gzip only where it insists */
    GZIP_PAYS = 1024,            /* bytes; a shorter file is never sent as gzip */
    MAX_JSON_BODY = 16 << 20,    /* bytes of a JSON request body; 413 */
    MAX_JSON_TREE = 64 << 20,    /* bytes of one once parsed, 16 for each value; 413 */
    MAX_HTTP_OUT = 128 << 10,    /* bytes that wait for one client; then its source waits */
    HTTP_HEAD_S = 10,            /* s from a request's first byte to the end of its head; closed */
    HTTP_BODY_S = 60,            /* s without a byte of a body that is waited for; closed */
    HTTP_SEND_S = 600,           /* s without a byte taken by a client of a whole answer; closed */
    MAX_FILE_WORKERS = 32,       /* short file operations at once; later ones wait for one to end */
    MAX_FILE_STREAMS = 256,  /* file contents in and out at once; later ones wait for one to end */
    MAX_FILE_WATCHERS = 64,  /* watches at once; 429 */
    MAX_FILE_WAITING = 1024, /* of those that wait; 429 */
    FILE_TIDY_S = 30,        /* s for an unwanted worker to remove what is half made; killed */
    FILE_PIPE = 1 << 20,     /* bytes of a pipe for contents; what the kernel gives below that */
    MAX_FILE_TEXT = 1 << 19, /* bytes of one rendered entry or event; an error */
    MAX_UNSIZED = 64 << 20,  /* bytes of a file that tells no size (/proc); an error */
    MAX_DIR_NAMES = 1 << 20, /* names in a directory that is listed, copied, archived; an error */
    MAX_TREE_FDS = 48,       /* directories open within each other; deeper: found by ".." again */
    MAX_UNTAR_DIRS = 65536,  /* directories of an archive whose times are kept; not of later ones */
    MAX_UPLOAD_ID = 64,      /* bytes of the name of an upload; 400 */
    MAX_WATCHES = 8192,      /* directories of one recursive watch; more: overflow is told */
    MAX_TREE_DEPTH = 256, /* directories within each other in lists, copies, removals; an error */
    MAX_WALK_PROCESSES =
        65536,                /* processes looked at when a job's tree is signalled; not the rest */
    MAX_HTTP_LINE = 8192,     /* bytes of a request or status line; 414 */
    MAX_HTTP_HEAD = 40960,    /* bytes of a whole head, first line and all; 431 */
    MAX_HTTP_FIELDS = 100,    /* header fields; 431 */
    MAX_HTTP_EXTRA = 4096,    /* bytes of chunk extensions and trailers of a body; 400 */
    MAX_HTTP_METHOD = 16,     /* bytes of a method; 501 */
    MAX_HTTP_LENGTH = 18,     /* digits of a Content-Length, so that it fits 63 bits; 400 */
    MAX_HTTP_CHUNK = 16,      /* digits of a chunk's size, which has 63 bits, too; 400 */
    MAX_PAX_HEADER = 1 << 24, /* bytes of one pax header of an archive; it is refused */
    MAX_HTTP_IN = 64 << 10,   /* bytes read ahead of one connection; then it has to wait */
    MAX_HTTP_ADDED =
        4096, /* bytes of fields that a route adds to an answer; the rest is left out */
    MAX_HTTP_DRAIN = 64 << 10,  /* bytes of a body nobody wanted that are read away; else closed */
    MAX_HTTP_LINGER = 16 << 20, /* bytes read away before closing, so that the answer is read */
    HTTP_LINGER_MS = 1000,      /* ms; the longest that either takes */
    WEBSOCKET_PING_S = 30,      /* s without a byte from a WebSocket's client; it is sent a Ping */
    WEBSOCKET_SILENT_S = 100,   /* s of the same; closed. Not while we do not read it ourselves */
    WEBSOCKET_CLOSE_S = 5,      /* s for a client to answer our Close frame; closed */
    HTTP_TURN = 16,             /* requests of one connection before others have their turn */
    HTTP_REFUSALS = 64,         /* clients at once that are told of MAX_CONNECTIONS; more: closed */
    SWEEP_SHARE = 50,           /* a search for unnamed zombies rests 50x what it cost */
    SWEEP_MAX_REST_MS = 1000,   /* ms; the longest rest, so the latest time of a reap */
    SWEEP_BATCH = 64,           /* zombies per search before signals are looked at again */
    MAX_PLAIN_LINE = 512,       /* bytes of one line of a plain init; cut */
    MAX_PLAIN_FDS = 65536,      /* fds closed one by one where close_range(2) is missing */
    MAX_FINDINGS = 40,          /* findings of one engine plan; later ones are counted */
    MAX_PROC_TEXT = 1 << 20,    /* bytes of a /proc file the survey reads; larger: unknown */
    MAX_CGROUP_ROUNDS = 10,     /* tries to empty the root cgroup; then what is left is told */
    MAX_ENGINE_PATH = 256,      /* bytes of a path in the engine's survey; cut, then not found */
    MAX_JSON_REPLY = 1 << 20,   /* bytes of one status document; 500 */
    MAX_DAEMON_JSON = 1 << 20   /* bytes of daemon.json; prepare leaves it alone, says so */
};

#endif
