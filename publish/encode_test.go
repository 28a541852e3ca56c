package publish

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestStatusIsEncodedAsAnyValue fills every field of a status with all kinds of values.
func TestStatusIsEncodedAsAnyValue(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var s Status
		fill(reflect.ValueOf(&s).Elem(), random)
		want, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.encode(); err != nil || string(got) != string(want) {
			t.Fatalf("%v\n got %s\nwant %s", err, got, want)
		}
	}
	for _, number := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		s := Status{Units: []Unit{{CPUSeconds: &number}}}
		if text, err := s.encode(); err == nil {
			t.Errorf("%v became %s", number, text)
		}
	}
}

// fill sets value to something of its type, nil and empty ones among them.
func fill(value reflect.Value, random *rand.Rand) {
	one := func(n int) bool { return random.IntN(n) == 0 }
	switch value.Interface().(type) {
	case time.Time:
		at := time.Unix(random.Int64N(253402300799), random.Int64N(1e9)).In(time.FixedZone("x", 3600*(random.IntN(24)-12)))
		value.Set(reflect.ValueOf(at))
		return
	case string:
		words := []string{"", "running", "a b", `"`, `\`, "\x00\n\t", "<&>", "\u2028", "žluť", "\xff\xfe", "\x7f", "😀"}
		value.SetString(words[random.IntN(len(words))])
		return
	case float64:
		numbers := []float64{0, 1, -1, 0.1, 1e-6, 9.9e-7, 1e20, 1e21, 1e22, 3.2, 112.4, math.MaxFloat64, math.SmallestNonzeroFloat64, random.NormFloat64()}
		value.SetFloat(numbers[random.IntN(len(numbers))])
		return
	}
	switch value.Kind() {
	case reflect.Struct:
		for _, field := range value.Fields() {
			fill(field, random)
		}
	case reflect.Pointer:
		if !one(3) {
			value.Set(reflect.New(value.Type().Elem()))
			fill(value.Elem(), random)
		}
	case reflect.Slice:
		if !one(4) {
			value.Set(reflect.MakeSlice(value.Type(), random.IntN(3), 3))
			for i := range value.Len() {
				fill(value.Index(i), random)
			}
		}
	case reflect.Map:
		if !one(4) {
			value.Set(reflect.MakeMap(value.Type()))
			for range random.IntN(4) {
				key, of := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
				fill(key, random)
				fill(of, random)
				value.SetMapIndex(key, of)
			}
		}
	case reflect.Int:
		value.SetInt(random.Int64() >> random.IntN(64))
	case reflect.Uint64:
		value.SetUint(random.Uint64() >> random.IntN(64))
	case reflect.Bool:
		value.SetBool(one(2))
	default:
		panic("a status has a " + value.Kind().String())
	}
}

func BenchmarkStatus(b *testing.B) {
	s := sample()
	s.Units = slices.Repeat(s.Units, 20)
	for name, encode := range map[string]func() ([]byte, error){
		"ours": s.encode,
		"json": func() ([]byte, error) { return encode(s) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text, err := encode()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
	}
}
