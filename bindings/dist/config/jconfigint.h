/* What only libjpeg-turbo's own sources see: see jconfig.h. */
#define BUILD "latent"
#define INLINE inline __attribute__((always_inline))
#define THREAD_LOCAL __thread
#define PACKAGE_NAME "libjpeg-turbo"
#define VERSION "2.1.5"
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#if __SIZEOF_LONG__==__SIZEOF_SIZE_T__          /* not on Windows */
# define HAVE_BUILTIN_CTZL 1
#endif
#define FALLTHROUGH __attribute__((fallthrough));
