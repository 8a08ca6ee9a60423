/* The functions of complex numbers that numpy takes from ucrtbase, and wine 8 only has by name.
 *
 * Windows passes a complex number as a structure; gcc would pass its own type in another way.
 * long double is double there, so `cexpl` is `cexp`. Each function is exported without the x_.
 */
#include <complex.h>
#include <math.h>

typedef struct { double real, imag; } Double;
typedef struct { float real, imag; } Float;

static double complex of_double(Double z) { return __builtin_complex(z.real, z.imag); }
static double complex of_float(Float z) { return __builtin_complex(z.real, z.imag); }
static Double to_double(double complex z) { return (Double){creal(z), cimag(z)}; }
static Float to_float(double complex z) { return (Float){creal(z), cimag(z)}; }

#define COMPLEX(name)                                                  \
    Double x_##name(Double z) { return to_double(name(of_double(z))); }  \
    Double x_##name##l(Double z) { return to_double(name(of_double(z))); } \
    Float x_##name##f(Float z) { return to_float(name(of_float(z))); }
#define REAL(name)                                                     \
    double x_##name(Double z) { return name(of_double(z)); }             \
    double x_##name##l(Double z) { return name(of_double(z)); }          \
    float x_##name##f(Float z) { return (float)name(of_float(z)); }

COMPLEX(cexp) COMPLEX(clog) COMPLEX(csqrt) COMPLEX(cproj) COMPLEX(conj)
COMPLEX(csin) COMPLEX(ccos) COMPLEX(ctan) COMPLEX(csinh) COMPLEX(ccosh) COMPLEX(ctanh)
COMPLEX(casin) COMPLEX(cacos) COMPLEX(catan) COMPLEX(casinh) COMPLEX(cacosh) COMPLEX(catanh)
REAL(creal) REAL(cimag) REAL(cabs) REAL(carg)

Double x_cpow(Double a, Double b) { return to_double(cpow(of_double(a), of_double(b))); }
Double x_cpowl(Double a, Double b) { return x_cpow(a, b); }
Float x_cpowf(Float a, Float b) { return to_float(cpow(of_float(a), of_float(b))); }
Double x__Cbuild(double real, double imag) { return (Double){real, imag}; }
Float x__FCbuild(float real, float imag) { return (Float){real, imag}; }
