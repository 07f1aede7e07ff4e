# Written by src_pyx/minimax.py, which says what they are and how they are found. Not to be edited.
#
# Polynomials are evaluated by Estrin's scheme: the chain of dependent operations is short.

cdef inline vreal vconst(double single, double full) noexcept nogil:
    # A constant in the dtype that is being compiled.
    return vset1(<real>(full if FW_F64 else single))


cdef inline vreal pair(vreal x, double c0, double c1) noexcept nogil:
    return vfma(x, vset1(<real>c1), vset1(<real>c0))


cdef inline vreal log4_e() noexcept nogil:
    return vconst(0.721347511, 0.7213475204444817)


cdef inline vreal ln4_high() noexcept nogil:
    return vconst(1.38629150390625, 1.3862943611197807)


cdef inline vreal ln4_low() noexcept nogil:
    return vconst(2.85721353e-06, 1.0995846037416742e-13)


cdef inline vreal ln2_high() noexcept nogil:
    return vconst(0.693145751953125, 0.6931471805598903)


cdef inline vreal ln2_low() noexcept nogil:
    return vconst(1.42860677e-06, 5.497923018708371e-14)


cdef inline vreal exp_tail(vreal x) noexcept nogil:
    # (e^x - 1 - x) / x^2, on [-0.694, 0.694];
    # off by 3.1e-8 in float32, 2.4e-17 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x4,
                         vfma(x2,
                              pair(x, 2.1056875125549205e-09, 1.6196836321369754e-10),
                              pair(x, 2.7556234693094776e-07, 2.505113139191468e-08)),
                         vfma(x2,
                              pair(x, 2.480159043236137e-05, 2.7557322669012923e-06),
                              pair(x, 0.0013888888884500915, 0.0001984126983503309))),
                    vfma(x2,
                         pair(x, 0.04166666666669296, 0.008333333333338643),
                         pair(x, 0.49999999999999956, 0.16666666666666652)))
    return vfma(x2,
                vfma(x2,
                     pair(x, 0.00140984438, 0.000201338),
                     pair(x, 0.0416616499, 0.00833236706)),
                pair(x, 0.500000298, 0.166666761))


cdef inline vreal log_tail(vreal x) noexcept nogil:
    # (2 atanh(s) / s - 2) / s^2 of x = s^2, on [0.0, 0.029437];
    # off by 8.1e-10 in float32, 1.2e-18 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         vset1(<real>0.147954731674732),
                         pair(x, 0.18183562473369141, 0.15314098223045697)),
                    vfma(x2,
                         pair(x, 0.285714287420537, 0.2222219860832509),
                         pair(x, 0.6666666666666734, 0.39999999999416125)))
    return vfma(x2,
                vset1(<real>0.298712224),
                pair(x, 0.666667759, 0.399775594))


cdef inline vreal log1p_tail(vreal x) noexcept nogil:
    # (2 atanh(s) / s - 2) / s^2 of x = s^2, on [0.0, 0.11111];
    # off by 4.5e-9 in float32, 1.3e-18 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         vfma(x2,
                              pair(x, 0.08341132689527732, 0.1701674399100053),
                              pair(x, 0.13301006303236795, 0.12105839375676772)),
                         pair(x, 0.18181744053975096, 0.1538655730650533)),
                    vfma(x2,
                         pair(x, 0.28571428547918537, 0.22222223965887095),
                         pair(x, 0.6666666666666631, 0.4000000000015671)))
    return vfma(x2,
                pair(x, 0.279998928, 0.280208081),
                pair(x, 0.666664124, 0.40021655))


cdef inline vreal erf_tail(vreal x) noexcept nogil:
    # erf(s) / s - 1 of x = s^2, on [0.0, 0.25];
    # off by 1.5e-9 in float32, 4.3e-18 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         vfma(x2,
                              vset1(<real>1.4726874298206065e-06),
                              pair(x, 0.00012053339227466747, -1.4845950175645642e-05)),
                         pair(x, 0.00522397737404291, -0.0008548297840608107)),
                    vfma(x2,
                         pair(x, 0.11283791670925557, -0.026866170632953157),
                         pair(x, 0.12837916709551256, -0.37612638903183476)))
    return vfma(x2,
                vfma(x2,
                     vset1(<real>0.00471993349),
                     pair(x, 0.112828381, -0.0267581549)),
                pair(x, 0.128379166, -0.376126081))


cdef inline vreal sqrt_2() noexcept nogil:
    return vconst(1.41421354, 1.4142135623730951)


cdef inline vreal inverse_sqrt_2pi() noexcept nogil:
    return vconst(0.398942292, 0.3989422804014327)


cdef inline vreal mills_polynomial(vreal x) noexcept nogil:
    # (a + 4) e^(a^2 / 2) Phi(-a) of x = (a - 4) / (a + 4), on [-1.0, 0.81818];
    # off by 5.7e-10 in float32, 2.1e-17 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2, x8 = x4 * x4
    if FW_F64:
        return vfma(x8,
                    vfma(x8,
                         vfma(x4,
                              vfma(x2,
                                   vset1(<real>-1.225993734758097e-09),
                                   pair(x, 1.4682997956177023e-08, -4.0270908730253717e-10)),
                              vfma(x2,
                                   pair(x, -7.72389865915967e-08, 1.6280843258065275e-08),
                                   pair(x, 2.6411189416632274e-07, -1.5689368547283057e-07))),
                         vfma(x4,
                              vfma(x2,
                                   pair(x, -6.251648389143558e-07, 1.0220982355199276e-06),
                                   pair(x, 7.149377976717611e-07, -5.920129802608029e-06)),
                              vfma(x2,
                                   pair(x, -1.9078316893070433e-06, 3.514460669906756e-05),
                                   pair(x, 0.00013334424622096305, -0.00023109491102908525)))),
                    vfma(x4,
                         vfma(x2,
                              pair(x, -0.0034796923613671068, 0.001630818454158317),
                              pair(x, 0.0603965748906539, -0.007540188966494016)),
                         vfma(x2,
                              pair(x, 0.3871374007422197, -0.18652185795966358),
                              pair(x, 0.7552851304157515, -0.6078966419718921))))
    return vfma(x4,
                vfma(x4,
                     vfma(x2,
                          pair(x, -1.61875187e-06, 2.18210389e-05),
                          pair(x, 0.000133267735, -0.000217353256)),
                     vfma(x2,
                          pair(x, -0.00347959762, 0.00162373472),
                          pair(x, 0.0603965297, -0.0075383964))),
                vfma(x2,
                     pair(x, 0.387137413, -0.186522052),
                     pair(x, 0.755285144, -0.607896626)))


cdef inline vreal gelu_root_high() noexcept nogil:
    return vconst(0.7517915368080139, 0.7517915246935645)


cdef inline vreal gelu_root_low() noexcept nogil:
    return vconst(-1.21144499e-08, -1.4956759177009883e-17)


cdef inline vreal gelu_near_root(vreal x) noexcept nogil:
    # (e^(a^2 / 2) Phi(-a) - a / sqrt(2 pi)) / x of a = root + x, on [-0.25, 0.25];
    # off by 7.4e-9 in float32, 1.1e-17 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x4,
                         vfma(x2,
                              pair(x, -3.4610951141344335e-06, 8.783322317685308e-07),
                              pair(x, -4.7393433065345254e-05, 1.2989785028903176e-05)),
                         vfma(x2,
                              pair(x, -0.0005510162619210815, 0.00016553767130178561),
                              pair(x, -0.005164140671645865, 0.0017385504343469466))),
                    vfma(x2,
                         pair(x, -0.03658159148938708, 0.014313659799256659),
                         pair(x, -0.5724061752276146, 0.08475636963853059)))
    return vfma(x2,
                vfma(x2,
                     pair(x, -0.00521610118, 0.00175677706),
                     pair(x, -0.0365803726, 0.0143130887)),
                pair(x, -0.572406173, 0.0847563744))


cdef inline vreal silu_root_high() noexcept nogil:
    return vconst(1.2784645557403564, 1.2784645427610737)


cdef inline vreal silu_root_low() noexcept nogil:
    return vconst(-1.29792825e-08, 1.0946994183093437e-16)


cdef inline vreal silu_near_root(vreal x) noexcept nogil:
    # (1 + e^-a - a) / x of a = root + x, on [-0.25, 0.25];
    # off by 1.8e-8 in float32, 1.0e-17 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         vfma(x2,
                              pair(x, -7.68464243385049e-07, 7.682260025874315e-08),
                              pair(x, -5.525084168901942e-05, 6.906358492652935e-06)),
                         pair(x, -0.0023205378576740643, 0.0003867563094638627)),
                    vfma(x2,
                         pair(x, -0.04641075712683522, 0.011602689281711199),
                         pair(x, -1.278464542761074, 0.1392322713805369)))
    return vfma(x2,
                vfma(x2,
                     vset1(<real>-0.00232526707),
                     pair(x, -0.0464106649, 0.0116329286)),
                pair(x, -1.27846456, 0.139231801))


cdef inline vreal sine_of_turn(vreal x) noexcept nogil:
    # sin(pi t / 2) / t of x = t^2, on [0.0, 0.25];
    # off by 4.8e-9 in float32, 2.8e-21 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         pair(x, 5.6919278793762434e-08, -6.627628233385639e-10),
                         pair(x, 0.00016044118472668934, -3.59884271724444e-06)),
                    vfma(x2,
                         pair(x, 0.07969262624616692, -0.0046817541353148286),
                         pair(x, 1.5707963267948966, -0.6459640975062463)))
    return vfma(x2,
                pair(x, 0.0796802267, -0.00460217707),
                pair(x, 1.57079637, -0.64596349))


cdef inline vreal cosine_of_turn(vreal x) noexcept nogil:
    # cos(pi t / 2) of x = t^2, on [0.0, 0.25];
    # off by 4.7e-11 in float32, 3.0e-20 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x2,
                         pair(x, 4.7106097616715007e-07, -6.321260851371473e-09),
                         pair(x, 0.0009192602741833616, -2.520203677166386e-05)),
                    vfma(x2,
                         pair(x, 0.2536695079010467, -0.020863480763311227),
                         pair(x, 1.0, -1.2337005501361697)))
    return vfma(x2,
                vfma(x2,
                     vset1(<real>0.000903631735),
                     pair(x, 0.253669202, -0.0208600704)),
                pair(x, 1, -1.23370051))


cdef inline vreal gelu_linear_high() noexcept nogil:
    return vconst(1.5957691669464111, 1.5957691216057308)


cdef inline vreal gelu_linear_low() noexcept nogil:
    return vconst(-4.53406805e-08, -9.96930880911092e-17)


cdef inline vreal gelu_cubic_high() noexcept nogil:
    return vconst(0.07135481387376785, 0.07135481627260025)


cdef inline vreal gelu_cubic_low() noexcept nogil:
    return vconst(2.39883247e-09, -6.175149918155315e-19)


cdef inline vreal gelu_tanh_root_high() noexcept nogil:
    return vconst(0.7524614334106445, 0.7524614220710163)


cdef inline vreal gelu_tanh_root_low() noexcept nogil:
    return vconst(-1.13396279e-08, -3.635560509207687e-17)


cdef inline vreal gelu_tanh_near_root(vreal x) noexcept nogil:
    # (1 + e^-v - a v') / x of a = root + x and v = linear a + cubic a^3, on [-0.25, 0.25];
    # off by 1.2e-8 in float32, 2.4e-17 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2
    if FW_F64:
        return vfma(x4,
                    vfma(x4,
                         vfma(x2,
                              pair(x, -2.846205782641239e-05, 7.72358190180707e-06),
                              pair(x, -0.00035648525550420327, 0.0001030583379969936)),
                         vfma(x2,
                              pair(x, -0.0036903781573235732, 0.0011529350138419713),
                              pair(x, -0.030485990559489234, 0.011295232360317854))),
                    vfma(x2,
                         pair(x, -0.40044769353411264, 0.0759589909077399),
                         pair(x, -2.4606567646302393, -0.09991152322555442)))
    return vfma(x2,
                vfma(x2,
                     pair(x, -0.0308339428, 0.0114447614),
                     pair(x, -0.400439531, 0.0759532526)),
                pair(x, -2.46065688, -0.0999114662))


cdef inline vreal mish_root_high() noexcept nogil:
    return vconst(1.1924312114715576, 1.1924312145154952)


cdef inline vreal mish_root_low() noexcept nogil:
    return vconst(3.04393755e-09, 4.8484829848031044e-17)


cdef inline vreal mish_near_root(vreal x) noexcept nogil:
    # (4 - 4 a + e (6 - 4 a + e (4 + e))) / x of a = root + x and e = e^-a, on [-0.25, 0.25];
    # off by 2.8e-8 in float32, 9.1e-19 in float64.
    cdef vreal x2 = x * x, x4 = x2 * x2, x8 = x4 * x4
    if FW_F64:
        return vfma(x8,
                    vfma(x2,
                         vfma(x2,
                              vset1(<real>-7.699596007736137e-06),
                              pair(x, -0.00014328715650372778, 3.451959819057793e-05)),
                         pair(x, -0.002067039351929921, 0.0005622137298036747)),
                    vfma(x4,
                         vfma(x2,
                              pair(x, -0.023245295373666996, 0.007137525654723112),
                              pair(x, -0.20853483861083902, 0.07168253538694445)),
                         vfma(x2,
                              pair(x, -1.2861822919773462, 0.5578184890232328),
                              pair(x, -6.407964080090054, 2.263207433519213))))
    return vfma(x2,
                vfma(x2,
                     pair(x, -0.210726276, 0.0723210126),
                     pair(x, -1.28613091, 0.557805359)),
                pair(x, -6.40796423, 2.26320744))
