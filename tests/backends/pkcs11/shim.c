/* A PKCS#11 library that passes everything on to SoftHSM, except what files in a folder tell it to do otherwise.
 *
 * frozen         no call returns until the file is gone
 * slow           every encryption takes as many milliseconds as the file says
 * removed        the token is gone; when the file is gone, it is back, but only for who initializes the library again
 * logged-out     the next call finds that nobody is logged in (the file is used up)
 * session-ended  the next encryption or decryption finds its session ended (the file is used up)
 * sick           encryptions and decryptions fail with CKR_GENERAL_ERROR
 * max-sessions   as many sessions as the file says
 * max-aad        AAD of at most as many bytes as the file says
 * iv-in-place    the device makes the IV, in the place of twelve zero bytes
 * iv-appended    the device makes the IV, is given none, and appends it to ciphertext and tag
 *
 * C_Initialize and C_Login are written to the file `calls`. SOFTHSM and FOLDER are defined when it is compiled.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

typedef unsigned long RV, ULONG;
typedef unsigned char BYTE;

enum { FUNCTIONS = 68 };
enum {
    INITIALIZE = 0, GET_SLOT_LIST = 4, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18,
    FIND_OBJECTS_INIT = 26, ENCRYPT_INIT = 29, ENCRYPT = 30, DECRYPT_INIT = 33, DECRYPT = 34
};
enum {
    OK = 0, GENERAL_ERROR = 5, DEVICE_REMOVED = 0x32, MECHANISM_PARAM_INVALID = 0x71, SESSION_COUNT = 0xB1,
    SESSION_HANDLE_INVALID = 0xB3, USER_NOT_LOGGED_IN = 0x101
};

typedef struct { BYTE major, minor; void *function[FUNCTIONS]; } List;
typedef struct { ULONG mechanism; void *parameter; ULONG parameter_len; } Mechanism;
typedef struct { BYTE *iv; ULONG iv_len, iv_bits; BYTE *aad; ULONG aad_len, tag_bits; } Gcm;

static List real, ours;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int sessions, lost;
static struct { ULONG session; BYTE iv[12]; } appended[64];

static int ordered(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    return access(path, F_OK) == 0;
}

static int used_up(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    return unlink(path) == 0;
}

static long number(const char *name) {
    char path[4096];
    long value = -1;
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%ld", &value) != 1) value = -1;
        fclose(file);
    }
    return value;
}

static void told(const char *call) {
    FILE *file = fopen(FOLDER "/calls", "a");
    if (file) {
        fprintf(file, "%s\n", call);
        fclose(file);
    }
}

/* What every call begins with. */
static RV enter(void) {
    while (ordered("frozen")) usleep(1000);
    if (ordered("removed")) lost = 1;
    return lost ? DEVICE_REMOVED : OK;
}

#define REAL(index, ...) ((RV (*)(__VA_ARGS__))real.function[index])

static RV initialize(void *arguments) {
    told("C_Initialize");
    RV rv = REAL(INITIALIZE, void *)(arguments);
    if (rv == OK) {
        lost = 0;
        sessions = 0;
    }
    return rv;
}

static RV get_slot_list(BYTE present, ULONG *list, ULONG *count) {
    RV rv = enter();
    return rv ? rv : REAL(GET_SLOT_LIST, BYTE, ULONG *, ULONG *)(present, list, count);
}

static RV open_session(ULONG slot, ULONG flags, void *application, void *notify, ULONG *session) {
    RV rv = enter();
    if (rv) return rv;
    pthread_mutex_lock(&lock);
    long most = number("max-sessions");
    if (most >= 0 && sessions >= most) {
        rv = SESSION_COUNT;
    } else {
        rv = REAL(OPEN_SESSION, ULONG, ULONG, void *, void *, ULONG *)(slot, flags, application, notify, session);
        if (rv == OK) sessions++;
    }
    pthread_mutex_unlock(&lock);
    return rv;
}

static RV close_session(ULONG session) {
    RV rv = REAL(CLOSE_SESSION, ULONG)(session);
    pthread_mutex_lock(&lock);
    if (rv == OK) sessions--;
    pthread_mutex_unlock(&lock);
    return rv;
}

static RV login(ULONG session, ULONG user, BYTE *pin, ULONG len) {
    RV rv = enter();
    if (rv) return rv;
    told("C_Login");
    return REAL(LOGIN, ULONG, ULONG, BYTE *, ULONG)(session, user, pin, len);
}

static RV find_objects_init(ULONG session, void *template, ULONG count) {
    RV rv = enter();
    if (rv) return rv;
    if (used_up("logged-out")) return USER_NOT_LOGGED_IN;
    return REAL(FIND_OBJECTS_INIT, ULONG, void *, ULONG)(session, template, count);
}

static RV begin(int index, ULONG session, Mechanism *mechanism, ULONG key) {
    RV rv = enter();
    if (rv) return rv;
    if (used_up("logged-out")) return USER_NOT_LOGGED_IN;
    if (used_up("session-ended")) return SESSION_HANDLE_INVALID;
    Gcm *gcm = mechanism->parameter, own = *gcm;
    Mechanism with_own = {mechanism->mechanism, &own, sizeof own};
    long most = number("max-aad");
    if (most >= 0 && gcm->aad_len > (ULONG)most) return MECHANISM_PARAM_INVALID;
    if (index == ENCRYPT_INIT && ordered("iv-in-place")) {
        static const BYTE zeros[12];
        if (gcm->iv_len != 12 || memcmp(gcm->iv, zeros, 12)) return MECHANISM_PARAM_INVALID;
        if (getrandom(gcm->iv, 12, 0) != 12) return GENERAL_ERROR;
    }
    if (index == ENCRYPT_INIT && ordered("iv-appended")) {
        if (gcm->iv_len != 0) return MECHANISM_PARAM_INVALID;
        BYTE *iv = appended[session % 64].iv;
        if (getrandom(iv, 12, 0) != 12) return GENERAL_ERROR;
        own.iv = iv;
        own.iv_len = 12;
        own.iv_bits = 96;
    }
    return REAL(index, ULONG, Mechanism *, ULONG)(session, &with_own, key);
}

static RV encrypt_init(ULONG session, Mechanism *mechanism, ULONG key) {
    return begin(ENCRYPT_INIT, session, mechanism, key);
}

static RV decrypt_init(ULONG session, Mechanism *mechanism, ULONG key) {
    return begin(DECRYPT_INIT, session, mechanism, key);
}

static RV encrypt(ULONG session, BYTE *data, ULONG len, BYTE *out, ULONG *out_len) {
    RV rv = enter();
    if (rv) return rv;
    if (ordered("sick")) return GENERAL_ERROR;
    long wait = number("slow");
    if (wait > 0 && out) usleep(wait * 1000);
    int append = ordered("iv-appended");
    rv = REAL(ENCRYPT, ULONG, BYTE *, ULONG, BYTE *, ULONG *)(session, data, len, out, out_len);
    if (rv == OK && append) {
        if (out) memcpy(out + *out_len, appended[session % 64].iv, 12);
        *out_len += 12;
    }
    return rv;
}

static RV decrypt(ULONG session, BYTE *data, ULONG len, BYTE *out, ULONG *out_len) {
    RV rv = enter();
    if (rv) return rv;
    if (ordered("sick")) return GENERAL_ERROR;
    return REAL(DECRYPT, ULONG, BYTE *, ULONG, BYTE *, ULONG *)(session, data, len, out, out_len);
}

RV C_GetFunctionList(List **list) {
    void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    RV (*get)(List **) = library ? (RV (*)(List **))dlsym(library, "C_GetFunctionList") : NULL;
    List *found;
    if (!get || get(&found) != OK) return GENERAL_ERROR;
    real = ours = *found;
    ours.function[INITIALIZE] = initialize;
    ours.function[GET_SLOT_LIST] = get_slot_list;
    ours.function[OPEN_SESSION] = open_session;
    ours.function[CLOSE_SESSION] = close_session;
    ours.function[LOGIN] = login;
    ours.function[FIND_OBJECTS_INIT] = find_objects_init;
    ours.function[ENCRYPT_INIT] = encrypt_init;
    ours.function[ENCRYPT] = encrypt;
    ours.function[DECRYPT_INIT] = decrypt_init;
    ours.function[DECRYPT] = decrypt;
    *list = &ours;
    return OK;
}
