"""What each construct means, in Spanish."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # ficheros
    "audience": "Un conjunto de dispositivos que se calcula, se mantiene al día, se publica y se "
    "exporta. Su condición va detrás de `match`.",
    "segment": "Una condición con nombre, para usarla en otras definiciones con `in segment`. No "
    "se publica, así que no lleva refresco, exportación ni tamaño.",
    "let": "Da nombre a unos eventos, un número o una condición, solo en este fichero. Se resuelve "
    "una vez, y una condición conserva las ventanas con que se escribió.",
    "match": "La condición que un dispositivo debe cumplir. Se pregunta en un instante T, a cada "
    "dispositivo cuyo consentimiento lo permite.",
    "label": "El nombre que leen las personas, en listas e informes.",
    "description": "Para qué sirve la definición, en una o dos frases.",
    "owner": "Quién responde de la definición.",
    "client": "El número del cliente cuyos dispositivos y eventos lee. Puede faltar si la "
    "configuración del proyecto nombra uno.",
    "type": "Para qué es la audiencia: `retargeting`, `suppression`, `winback`, `lookalike` o "
    "`cross_sell`. Decide cada cuánto se refresca si `refresh` no lo dice.",
    "refresh": "Cada cuánto se vuelve a calcular la audiencia, en la zona horaria de la "
    "definición. Sin ella decide el tipo; sin tipo, cada día.",
    "realtime": "La audiencia sigue cada evento según llega. Lo que necesita todos los "
    "dispositivos a la vez, como una clasificación, solo puede calcularse por lotes.",
    "hourly": "La audiencia se vuelve a calcular cada hora.",
    "daily": "La audiencia se vuelve a calcular cada día, a medianoche o a la hora indicada, en la "
    "zona horaria de la definición.",
    "weekly": "La audiencia se vuelve a calcular una vez por semana, el día y a la hora indicados, "
    "en la zona horaria de la definición.",
    "every": "La audiencia se vuelve a calcular cada vez que pasa ese tiempo.",
    "cron": "Cuándo se vuelve a calcular, con cinco campos de cron (minuto, hora, día, mes, día de "
    "la semana) en la zona horaria de la definición.",
    "timezone": "La zona horaria en que se leen fechas, ventanas de calendario y horas de "
    "refresco. Sin ella vale la del proyecto, y después UTC.",
    "export": "Los destinos que reciben la audiencia. Cada uno exige consentimiento, y sin él un "
    "dispositivo no es miembro.",
    "ttl": "Cuánto puede conservarse la pertenencia de un dispositivo desde que se confirmó por "
    "última vez. Si falta, 90 días.",
    "minimum": "La audiencia más pequeña que puede publicarse.",
    "tags": "Palabras para encontrar la definición. No cambian quién pertenece.",
    "require": "Pide más consentimiento del que ya exigen los destinos, por nombre o en bits. Solo "
    "puede añadir: nada rebaja lo que exige un destino.",
    # ventanas
    "within": "El tiempo desde hace una duración: T - A < t <= T. Un evento justo en el extremo "
    "lejano queda fuera.",
    "within_calendar": "El periodo de calendario actual y los N-1 anteriores, en la zona horaria "
    "de la definición. Las semanas empiezan el lunes.",
    "between": "Con al menos la primera antigüedad y menos que la segunda: T - B < t <= T - A. Las "
    "dos pueden ir en cualquier orden.",
    "before_ago": "Hace al menos ese tiempo: t <= T - A.",
    "before_date": "Antes de que empiece ese día local, o antes de ese instante.",
    "since": "Desde el comienzo de ese día local, o desde ese instante, hasta T.",
    "from_to": "Días locales enteros, ambos incluidos. Si un extremo es un instante, es el extremo "
    "mismo.",
    "in_period": "Un año, trimestre o mes de calendario, en la zona horaria de la definición.",
    "on_date": "Un día local entero, en la zona horaria de la definición.",
    "named_period": "Un periodo de calendario alrededor de T, en la zona horaria de la definición. "
    "Para eventos, el actual llega hasta T. Las semanas empiezan el lunes.",
    # tiempos
    "within_next": "Un tiempo que está por venir: T < t <= T + A. Para propiedades y rasgos que "
    "son tiempos; los eventos del futuro aún no existen.",
    "anniversary": "Si el mes y el día de una fecha caen en una ventana, en fechas locales. El 29 "
    "de febrero cuenta como 1 de marzo en los demás años.",
    # selecciones y predicados
    "selection": "Solo los eventos cuyas propiedades pasan lo que está entre corchetes. Dentro van "
    "pruebas de propiedades unidas por `and`, `or` y `not`.",
    "alternatives": "Eventos de cualquiera de estos tipos. Lo que tienen en común va entre "
    "corchetes detrás del paréntesis.",
    "any_event": "Eventos de todos los tipos. Los registros `identify`, `consent` y `score` no son "
    "eventos.",
    "any_element": "Un elemento de una lista de objetos pasa todo lo que está entre corchetes.",
    "=": "Igual. Los textos se comparan como están escritos, los números como decimales exactos. "
    "Una propiedad ausente no es igual a nada.",
    "!=": "Distinto. Falso si la propiedad falta, salvo que siga `or missing`.",
    "<": "Menor. Falso si falta un lado.",
    "<=": "Menor o igual. Falso si falta un lado.",
    ">": "Mayor. Falso si falta un lado.",
    ">=": "Mayor o igual. Falso si falta un lado.",
    "one_of": "Igual a uno de los valores. Falso si la propiedad falta.",
    "not_one_of": "Distinto de todos los valores. Falso si la propiedad falta, salvo que siga "
    "`or missing`.",
    "in_range": "Del número menor al mayor, ambos incluidos.",
    "not_in_range": "Fuera del intervalo, cuyos extremos le pertenecen. Falso si falta el valor.",
    "contains": "El texto está en algún lugar de la cadena. Distingue mayúsculas, salvo que siga "
    "`ignoring case`.",
    "starts with": "La cadena empieza por el texto. Distingue mayúsculas, salvo que siga "
    "`ignoring case`.",
    "ends with": "La cadena termina con el texto. Distingue mayúsculas, salvo que siga "
    "`ignoring case`.",
    "matches": "Un patrón RE2 aparece en cualquier lugar de la cadena; `^` y `$` lo atan a los "
    "extremos. Un patrón tiene como mucho 1000 caracteres.",
    "ignoring case": "Mayúsculas y minúsculas son iguales para la prueba anterior.",
    "has_one": "La lista contiene el valor. Falso si la lista falta.",
    "has_any": "La lista contiene al menos uno de los valores.",
    "has_all": "La lista contiene todos los valores, en cualquier orden.",
    "exists": "La propiedad o el rasgo está. La cadena vacía es un valor; `null` no.",
    "is_missing": "La propiedad o el rasgo no está, o es `null`.",
    "or_missing": "Hace que la prueba anterior se cumpla también si la propiedad falta. Sin ello, "
    "una prueba de una propiedad ausente es falsa, también `!=` y `not in`.",
    "boolean": "Los dos valores de una propiedad o un rasgo booleano.",
    # geografía
    "near": "Un punto está como mucho a esa distancia de un lugar o de un par de latitud y "
    "longitud. Es la distancia del círculo máximo, en `m` o `km`.",
    "place": "Un punto al que el catálogo da nombre.",
    "in_zone": "Un punto está en una zona del catálogo: un polígono dado por sus vértices.",
    # condiciones
    "and": "Se cumplen ambos lados. Une más que `or`, y los paréntesis aclaran una mezcla.",
    "or": "Se cumple al menos un lado. Une menos que `and`.",
    "not": "Da la vuelta a la respuesta: pasa quien no pasaba, también quien no tiene tal valor. "
    "Es lo que más une.",
    "no": "Ningún evento así en la ventana: lo mismo que `not`. Abarca todo dispositivo que tenga "
    "algún evento o `identify`.",
    "repeat": "Una ventana sola repite el sujeto del operando anterior, sin su ventana ni su `not` "
    "o `no`. Una compra más barata no cuenta en contra en `purchase.revenue > 100 … and not within "
    "30d`.",
    "user": "Un rasgo del dispositivo: lo que dijo su último `identify` con ese rasgo. Un rasgo "
    "puesto a `null` falta.",
    "in_segment": "El dispositivo cumple la condición de otra definición. Es la condición misma, "
    "no su conjunto publicado, así que nunca está atrasada.",
    "in_list": "El dispositivo está en una lista de identificadores que se subió.",
    # medidas
    "count": "Cuántos eventos así hay; 0 si no hay ninguno.",
    "sum": "La suma de una propiedad en los eventos que la tienen; 0 si no hay. Es exacta.",
    "avg": "La media de una propiedad, cortada en 9 decimales. Sin eventos falta, y entonces toda "
    "comparación es falsa.",
    "min": "El valor más pequeño de una propiedad. Falta si no hay eventos.",
    "max": "El valor más grande de una propiedad. Falta si no hay eventos.",
    "median": "El valor central de una propiedad; si son pares, la media de los dos centrales, "
    "cortada en 9 decimales. Falta si no hay eventos.",
    "distinct": "Cuántos valores distintos tiene una propiedad, contados con exactitud; 0 si no "
    "hay eventos.",
    "days": "En cuántos días locales distintos hubo un evento así.",
    "weeks": "En cuántas semanas locales distintas, desde el lunes, hubo un evento así.",
    "months": "En cuántos meses locales distintos hubo un evento así.",
    "+": "Suma dos números o medidas, con exactitud.",
    "-": "Resta un número o medida de otro, con exactitud.",
    "*": "Multiplica dos números o medidas, con exactitud.",
    "/": "Divide; el cociente se corta en 9 decimales. Una comparación con una división por cero "
    "es falsa.",
    "negative": "El número con el otro signo.",
    "first": "El primer evento así de toda la historia hasta T. Una ventana detrás prueba su "
    "tiempo, y `.propiedad` una propiedad suya; sin ningún evento es falso.",
    "last": "El último evento así de toda la historia hasta T. Una ventana detrás prueba su "
    "tiempo, y `.propiedad` una propiedad suya; sin ningún evento es falso.",
    # secuencias y lo demás
    "then": "Un evento del paso siguiente, estrictamente posterior al del paso anterior. `within "
    "A` detrás es el tiempo máximo desde ese paso.",
    "then no": "No hubo ningún evento así en el A posterior al paso anterior, y A ya ha pasado del "
    "todo en T. Siempre es el último paso.",
    "regularity": "La comparación se cumple en al menos K de los últimos M periodos. Con una "
    "duración se cuentan hacia atrás desde T; con `calendar days`, `weeks` o `months` son los "
    "locales, primero el actual.",
    "held_for": "La prueba del rasgo se cumple sin interrupción desde hace al menos ese tiempo, "
    "hasta T. Volver a poner el mismo valor no reinicia la cuenta.",
    "score": "El último valor que un modelo escribió para el dispositivo, en T o antes. Si no hay, "
    "falta, y toda comparación es falsa.",
    "rfm": "Puntuaciones de 1 a 5 de lo reciente, frecuente y cuantioso que compra un dispositivo. "
    "Faltan si no tiene compras; el catálogo fija los umbrales.",
    "recency": "De 1 a 5 por los días desde la última compra: 5 es lo más reciente.",
    "frequency": "De 1 a 5 por las compras de los últimos 180 días: 5 es lo más.",
    "monetary": "De 1 a 5 por el importe de todas las compras: 5 es lo más.",
    "is_named": "Las puntuaciones RFM del dispositivo encajan en un patrón con nombre: "
    "`champions`, `at_risk`, `new_customers`, `hibernating`, o uno que añada el catálogo.",
    "affine": "Compró algún producto que al menos N dispositivos con consentimiento (2, si no se "
    "dice) compraron además de este, y nunca compró este.",
    "keep": "De los dispositivos que pasan y tienen valor, solo los primeros o los últimos de una "
    "clasificación. En los empates gana la clave menor; un porcentaje se redondea hacia arriba.",
    "sample": "Conserva una parte fija seudoaleatoria de los miembros. Un dispositivo no cambia de "
    "una vez a otra, y una parte mayor solo añade dispositivos.",
    "holdout": "Aparta una parte fija seudoaleatoria en un segundo conjunto publicado, "
    "`NAME:holdout`, para comparar.",
    # pruebas
    "test": "Un ejemplo que ejecuta `relo test`: unos dispositivos con sus registros, y quién "
    "pertenece en cada instante. Solo existen los dispositivos nombrados.",
    "given": "Los registros de un dispositivo. Los tiempos cuentan desde el primer instante de la "
    "prueba.",
    "given_list": "Qué dispositivos de la prueba están en una lista.",
    "expect": "Los dispositivos que son miembros en todos los instantes de la prueba, o con `not` "
    "en ninguno.",
    "bounds": "Cuándo entra y cuándo sale el dispositivo: es miembro en el primer instante, no un "
    "milisegundo antes, y ya no en el segundo.",
    "moment": "Cuándo está un registro: ese tiempo antes del primer instante de la prueba, en una "
    "fecha, o en ese instante.",
    "null": "Ningún valor: un rasgo puesto a `null` falta.",
    "identify": "Pone rasgos del dispositivo en ese momento. No es un evento, pero hace que el "
    "dispositivo exista.",
    "consent": "Fija el consentimiento del dispositivo desde ese momento, como suma de sus "
    "banderas: 255 son todas.",
    "score_record": "Los valores que un modelo escribió para el dispositivo en ese momento.",
}
